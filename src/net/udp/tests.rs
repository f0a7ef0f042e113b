//! The send queue, and datagrams from the socket itself.

use super::*;

fn port(poll: &mio::Poll) -> UdpPort {
    let socket = bind::bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
    UdpPort::new(socket, poll.registry(), Token(1), false).unwrap()
}

fn dest(addr: &str) -> Dest {
    Dest { addr: addr.parse().unwrap(), from: None }
}

#[test]
fn queue_is_bounded_and_keeps_order() {
    let mut queue = SendQueue::default();
    let dest = dest("127.0.0.1:1");
    let taken = (0..2000).take_while(|_| queue.push(dest, &[0; 1200], 1200) == SendOutcome::Accepted).count();
    assert_eq!(taken, QUEUE_MAX / 1200);
    (0..taken - 1).for_each(|_| queue.pop());
    assert_eq!(queue.push(dest, b"last", 4), SendOutcome::Accepted);
    assert!(queue.bytes.len() < 2 * 1200, "sent bytes are freed");
    queue.pop();
    assert_eq!(&queue.bytes[queue.sent..], b"last");
}

/// The double of the system takes single datagrams, four at a time, and refuses GSO batches
/// with this error.
#[test]
fn queued_gso_batch_is_split_if_device_cannot() {
    use rustix::io::Errno;
    let one = dest("127.0.0.1:1");
    let other = dest("127.0.0.1:2");
    for errno in [Errno::IO, Errno::INVAL, Errno::MSGSIZE] {
        let mut queue = SendQueue::default();
        queue.push(other, b"zz", 2);
        queue.push(one, b"aabbccddeeffg", 2);
        queue.push(other, b"hh", 2);
        let mut sent = Vec::new();
        let mut room = 4;
        let mut refused = Vec::new();
        for _ in 0..3 {
            queue.drain(
                |dest: Dest, bytes, segment| match (bytes.len() > segment, room) {
                    (true, _) => Err(errno.into()),
                    (false, 0) => Err(io::ErrorKind::WouldBlock.into()),
                    (false, _) => {
                        room -= 1;
                        sent.push((dest.addr.port(), String::from_utf8(bytes.to_vec()).unwrap()));
                        Ok(())
                    }
                },
                &mut |dest, reason| refused.push((dest, reason)),
            );
            room = 4;
        }
        let parts = ["aa", "bb", "cc", "dd", "ee", "ff", "g"].map(|part| (1, part.to_owned()));
        let first = (2, "zz".to_owned());
        let last = (2, "hh".to_owned());
        let expected: Vec<_> = [first].into_iter().chain(parts).chain([last]).collect();
        assert_eq!(sent, expected, "{errno:?}");
        assert_eq!(refused, [], "{errno:?}");
        assert!(queue.bytes.is_empty(), "{errno:?}");
    }
}

/// A single datagram refused with such an error is reported once and not retried forever.
#[test]
fn single_datagram_with_offload_error_is_refused() {
    let mut queue = SendQueue::default();
    let mut refused = 0;
    queue.push(dest("127.0.0.1:1"), b"aabb", 2);
    queue.drain(|_, _, _| Err(rustix::io::Errno::IO.into()), &mut |_, _| refused += 1);
    assert_eq!(refused, 2);
    assert!(queue.sends.is_empty());
}

#[test]
fn own_address_is_recognised_for_any_local_address() {
    let own = |local: &str, from: &str, dest: Option<&str>| {
        let dest = dest.map(|dest| dest.parse().unwrap());
        is_own(local.parse().unwrap(), from.parse().unwrap(), dest)
    };
    assert!(own("192.0.2.1:8081", "192.0.2.1:8081", None));
    assert!(own("0.0.0.0:8081", "192.0.2.1:8081", Some("192.0.2.1")));
    assert!(own("[::]:8081", "192.0.2.1:8081", Some("::ffff:192.0.2.1")));
    assert!(own("[::]:8081", "[2001:db8::1]:8081", Some("2001:db8::1")));
    assert!(own("0.0.0.0:8081", "127.0.0.9:8081", Some("127.0.0.1")));
    assert!(!own("0.0.0.0:8081", "192.0.2.1:8082", Some("192.0.2.1")), "a program of this machine");
    assert!(!own("0.0.0.0:8081", "192.0.2.9:8081", Some("192.0.2.1")), "another relay");
    assert!(!own("127.0.0.1:8081", "127.0.0.2:8081", Some("127.0.0.1")), "another relay of this machine");
}

#[test]
fn queue_is_sent_when_socket_is_writable_again() {
    let poll = mio::Poll::new().unwrap();
    let mut from = port(&poll);
    let mut to = port(&poll);
    let dest = Dest { addr: to.local_addr(), from: None };
    from.queue.push(dest, b"one", 3);
    assert_eq!(from.send(dest, b"two", 3, poll.registry()), SendOutcome::Accepted, "queued after the first");
    from.flush(poll.registry(), |_, _| panic!("nothing is refused"));
    let mut batch = RxBatch::new(false);
    let mut stats = Stats::default();
    let mut got = Vec::new();
    while got.len() < 2 {
        if to.receive(&mut batch).is_ok() {
            while let Some((from, range)) = batch.next(&mut stats) {
                got.push((from, batch.bytes_mut(range).to_vec()));
            }
        }
    }
    let from = Path::Udp(from.local_addr());
    assert_eq!(got, [(from, b"one".to_vec()), (from, b"two".to_vec())]);
}
