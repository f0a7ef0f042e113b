//! Every size limit of the protocol, with its reason.

/// The first byte of every packet on UDP and of every TCP connection: it can begin neither UTF-8 nor GBK text, so one
/// port can serve members and plain-text guests alike.
pub const MAGIC: u8 = 0xFF;
/// The protocol's version, in every handshake packet and in the Noise prologue.
pub const VERSION: u8 = 1;

/// The largest packet on UDP, in bytes: fits every path of the Internet (RFC 9000 §14).
pub const UDP_PACKET_MAX: usize = 1200;
/// The largest packet on TCP, in bytes: what one record may hold.
pub const TCP_PACKET_MAX: usize = 16 * 1024;

/// The header of a data packet: magic, type, version, reserved, index(4), number(8).
pub const DATA_HEADER_LEN: usize = 16;
/// The tag of a sealed packet (RFC 8439).
pub const TAG_LEN: usize = 16;

/// Frames in one packet: a bound on the work one packet can ask for.
pub const FRAMES_PER_PACKET_MAX: usize = 64;
/// Ack ranges we send and read (two QUIC stacks spent half their CPU in unbounded ranges).
pub const ACK_RANGES_SENT_MAX: usize = 32;
/// Ack ranges we read; more close the session.
pub const ACK_RANGES_READ_MAX: usize = 64;
/// The reason in a CLOSE frame, in bytes of UTF-8: a word or a short sentence for the log.
pub const CLOSE_REASON_MAX: usize = 256;

/// The longest text of a letter, in bytes of UTF-8.
pub const LETTER_TEXT_MAX: usize = 64 * 1024;
/// The longest body of a letter: a text of the greatest length and what stands around it.
pub const LETTER_BODY_MAX: usize = LETTER_TEXT_MAX + 64;
/// The longest message on the chat stream: a body, two names and what stands around them.
pub const CHAT_MESSAGE_MAX: usize = LETTER_BODY_MAX + 512;
/// The longest message on the control stream.
pub const CONTROL_MESSAGE_MAX: usize = 4 * 1024;
/// The longest message on the bulk stream.
pub const BULK_MESSAGE_MAX: usize = 16 * 1024;

/// Refusals of its own that a reader remembers, of each relay, as long as the letters may come
/// again: twice the 512 letters that a relay has at one reader at most before the first has left
/// its mailbox.
pub const REFUSALS_REMEMBERED: usize = 1_024;

/// Credit each stream is kept at, in bytes: control, chat, bulk. A relay's starts with it. Together
/// at most [`REASSEMBLY_MAX`], and each above its longest message, or a message could never arrive.
pub const STREAM_CREDIT: [usize; 3] = [32 * 1024, 160 * 1024, 64 * 1024];
/// The credit a relay gives before its welcome, in bytes: who has not signed in says so in one
/// message, and cannot make the relay hold more.
pub const CREDIT_BEFORE_WELCOME: [usize; 3] = [CONTROL_MESSAGE_MAX + 4, 0, 0];
/// Bytes received and not yet read, for one peer, all streams together.
pub const REASSEMBLY_MAX: usize = 256 * 1024;
/// Bytes queued or sent and not yet acknowledged, for one session, all streams together.
pub const UNACKED_MAX: usize = 256 * 1024;

/// Bytes queued in the program for one TCP connection; more close it.
pub const TCP_QUEUE_MAX: usize = 256 * 1024;
/// Bytes left in the kernel for one TCP connection: no new packet is made above it, so that news is never old.
pub const TCP_UNSENT_MAX: usize = 64 * 1024;

const _: () = assert!(STREAM_CREDIT[0] + STREAM_CREDIT[1] + STREAM_CREDIT[2] <= REASSEMBLY_MAX);
const _: () = assert!(STREAM_CREDIT[0] > CONTROL_MESSAGE_MAX);
const _: () = assert!(STREAM_CREDIT[1] > CHAT_MESSAGE_MAX);
const _: () = assert!(STREAM_CREDIT[2] > BULK_MESSAGE_MAX);
