//! Size limits of the protocol, each with its reason.

/// First byte of every packet on UDP and of every TCP connection.
///
/// It can begin neither UTF-8 nor GBK text, so that one port can serve members and plain-text
/// guests.
pub const MAGIC: u8 = 0xFF;
/// Protocol version, in every handshake packet and in the Noise prologue.
pub const VERSION: u8 = 1;

/// Maximum packet on UDP, in bytes. Fits every path of the Internet (RFC 9000 §14).
pub const UDP_PACKET_MAX: usize = 1200;
/// Maximum packet on TCP, in bytes, and thus the maximum record.
pub const TCP_PACKET_MAX: usize = 16 * 1024;
/// Second byte from which input is plain text although it begins with [`MAGIC`]: telnet commands
/// (RFC 854) and the byte order mark of UTF-16 have such a byte.
pub const TEXT_SECOND_BYTE_MIN: u8 = 0xf0;
const _: () = assert!((TEXT_SECOND_BYTE_MIN as usize) << 8 > TCP_PACKET_MAX, "no record is so long");

/// Bytes of a data packet's header: magic, type, version, reserved, index(4), number(8).
pub const DATA_HEADER_LEN: usize = 16;
/// Bytes of the authentication tag of a sealed packet (RFC 8439).
pub const TAG_LEN: usize = 16;

/// Maximum frames in one packet. Bounds the work that one packet can cause.
pub const FRAMES_PER_PACKET_MAX: usize = 64;
/// Maximum ack ranges that we send. Two QUIC stacks spent half their CPU time in unbounded ranges.
pub const ACK_RANGES_SENT_MAX: usize = 32;
/// Maximum ack ranges that we read; more close the session.
pub const ACK_RANGES_READ_MAX: usize = 64;
/// Maximum reason in a CLOSE frame, in bytes of UTF-8: a word or a short sentence for the log.
pub const CLOSE_REASON_MAX: usize = 256;

/// Maximum text of a letter, in bytes of UTF-8.
pub const LETTER_TEXT_MAX: usize = 64 * 1024;
/// Maximum body of a letter, in bytes: the longest text and the CBOR around it.
pub const LETTER_BODY_MAX: usize = LETTER_TEXT_MAX + 64;
/// Maximum message on the chat stream, in bytes: a body, two names and the fields around them.
pub const CHAT_MESSAGE_MAX: usize = LETTER_BODY_MAX + 512;
/// Maximum message on the control stream, in bytes.
pub const CONTROL_MESSAGE_MAX: usize = 4 * 1024;
/// Maximum message on the bulk stream, in bytes.
pub const BULK_MESSAGE_MAX: usize = 16 * 1024;

/// Refusals that a recipient remembers per relay, for as long as the letters may arrive again.
///
/// A relay has at most 512 letters in flight to one recipient before the first has left its
/// mailbox. This is twice that.
pub const REFUSALS_REMEMBERED: usize = 1_024;

/// Flow-control credit of each stream, in bytes: control, chat, bulk. A relay starts with it.
///
/// The sum is at most [`REASSEMBLY_MAX`]. Each value exceeds the longest message of its stream,
/// otherwise that message could never arrive.
pub const STREAM_CREDIT: [usize; 3] = [32 * 1024, 160 * 1024, 64 * 1024];
/// Credit that a relay grants before its welcome, in bytes, in the order of [`STREAM_CREDIT`].
///
/// Enough for one sign-in message. A peer that has not signed in cannot make the relay hold more.
pub const CREDIT_BEFORE_WELCOME: [usize; 3] = [CONTROL_MESSAGE_MAX + 4, 0, 0];
/// Maximum bytes received and not yet read of one peer, over all streams.
pub const REASSEMBLY_MAX: usize = 256 * 1024;
/// Maximum bytes queued or sent and not yet acknowledged in one session, over all streams.
pub const UNACKED_MAX: usize = 256 * 1024;

/// Maximum bytes queued in the program for one TCP connection; more close it.
pub const TCP_QUEUE_MAX: usize = 256 * 1024;
/// Bytes unsent in the kernel for one TCP connection above which no new packet is built.
///
/// Keeps the content of a packet recent when it is sent.
pub const TCP_UNSENT_MAX: usize = 64 * 1024;

const _: () = assert!(STREAM_CREDIT[0] + STREAM_CREDIT[1] + STREAM_CREDIT[2] <= REASSEMBLY_MAX);
const _: () = assert!(STREAM_CREDIT[0] > CONTROL_MESSAGE_MAX);
const _: () = assert!(STREAM_CREDIT[1] > CHAT_MESSAGE_MAX);
const _: () = assert!(STREAM_CREDIT[2] > BULK_MESSAGE_MAX);
