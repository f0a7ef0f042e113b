//! Waiting, other threads, look-ups and signals.

use signal_hook::consts::{SIGHUP, SIGTERM};

use super::*;

#[test]
fn idle_wait_ends_at_deadline_and_not_before() {
    let mut client = NetUnderTest::client();
    let mut relay = NetUnderTest::relay();
    let udp = relay.udp_path();
    client.act(Effect::OpenTcp(ConnId(1), relay.net.tcp_addr().unwrap()));
    client.opened();
    client.send(Path::Tcp(ConnId(1)), &numbered(20, 1000));
    client.send(udp, &numbered(20, 1000));
    relay.packets_until(40);
    for end in [&mut client, &mut relay] {
        while end.net.may_have_input() {
            end.turn();
        }
        let polls = end.net.stats().polls;
        let deadline = end.net.now().tick + Duration::from_millis(30);
        assert!(end.net.wait(Some(deadline)).tick >= deadline);
        assert!(end.net.next_input().is_none());
        assert!(end.net.stats().polls - polls <= 4, "the loop slept until its deadline");
    }
}

#[test]
fn past_deadline_ends_wait_at_once() {
    let mut end = NetUnderTest::client();
    assert!(end.net.wait(Some(Tick::ZERO)).tick > Tick::ZERO);
    assert_eq!(end.net.stats().polls, 1);
}

#[test]
fn other_thread_wakes_loop() {
    let mut end = NetUnderTest::client();
    let loop_handle = end.net.loop_handle();
    let thread = std::thread::spawn(move || {
        assert!(loop_handle.command(1));
        loop_handle.committed(Ticket(2));
        loop_handle.not_committed(Ticket(3));
    });
    end.net.wait(None);
    end.turn_until(|end| (end.seen.len() == 3).then_some(()));
    thread.join().unwrap();
    assert_eq!(
        end.seen,
        [SeenInput::Command(1), SeenInput::Committed(Ticket(2)), SeenInput::NotCommitted(Ticket(3))]
    );
}

#[test]
fn many_commands_arrive_in_order_without_starving_packets() {
    let mut end = NetUnderTest::relay();
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let loop_handle = end.net.loop_handle();
    (0..2000).for_each(|i| loop_handle.try_command(i).unwrap());
    peer.send_to(b"a packet", end.net.udp_addr().unwrap()).unwrap();
    end.turn_until(|end| (end.seen.len() == 2001).then_some(()));
    let commands =
        end.seen.iter().filter_map(|got| if let SeenInput::Command(i) = got { Some(*i) } else { None });
    assert!(commands.eq(0..2000));
    let packet = end.seen.iter().position(|got| matches!(got, SeenInput::Packet(..))).unwrap();
    assert!(packet < 1000, "it came after {packet} commands");
}

/// The wake-up for the last command comes while earlier commands, already taken from the queue,
/// still wait.
#[test]
fn command_between_turns_is_taken_despite_full_turn() {
    let mut end = NetUnderTest::client();
    let loop_handle = end.net.loop_handle();
    (0..2000).for_each(|i| loop_handle.try_command(i).unwrap());
    end.turn();
    assert_eq!(end.seen.len(), crate::base::TURN_INPUTS_MAX, "a turn is bounded");
    loop_handle.try_command(2000).unwrap();
    end.turn_until(|end| (end.seen.len() == 2001).then_some(()));
    loop_handle.try_command(2001).unwrap();
    end.turn_until(|end| (end.seen.len() == 2002).then_some(()));
    assert!(end.seen.into_iter().eq((0..2002).map(SeenInput::Command)));
}

#[test]
fn ended_loop_takes_no_commands() {
    let loop_handle = NetUnderTest::client().net.loop_handle();
    assert_eq!(loop_handle.try_command(1), Err(1));
    assert!(!loop_handle.command(1));
}

#[test]
fn hosts_are_looked_up_and_addresses_resolve_at_once() {
    let mut end = NetUnderTest::client();
    let host = |text: &str| text.parse::<HostPort>().unwrap();
    end.act(Effect::LookUp(host("[::1]:5")));
    let addr = "[::1]:5".parse().unwrap();
    assert_eq!(end.until(|_| true), SeenInput::Resolved(host("[::1]:5"), vec![addr]));
    end.seen.clear();
    end.act(Effect::LookUp(host("localhost:9")));
    end.act(Effect::LookUp(host("localhost:9")));
    let SeenInput::Resolved(asked, addrs) = end.until(|_| true) else { panic!("{:?}", end.seen) };
    assert_eq!(asked, host("localhost:9"));
    assert!(addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 9) && !addrs.is_empty());
}

#[test]
fn effects_of_other_layers_are_passed_on_in_order() {
    let mut end = NetUnderTest::client();
    let mut seen = Vec::new();
    end.out.show("first");
    end.out.effects.push(Effect::Persist(Ticket(1), "record"));
    end.out.show("last");
    end.net.carry_out(&mut end.out, |effect| seen.push(effect));
    assert_eq!(seen, [Effect::Show("first"), Effect::Persist(Ticket(1), "record"), Effect::Show("last")]);
    assert!(end.out.effects.is_empty() && end.out.bytes.is_empty());
}

#[test]
fn signal_becomes_command() {
    let on_signal = |signal| match signal {
        Signal::Interrupt => None,
        Signal::Terminate => Some(2),
        Signal::HangUp => Some(3),
    };
    let mut end = NetUnderTest::new(NetConfig { on_signal: Some(on_signal), ..NetConfig::client() });
    // Under `nohup` the tests ignore SIGHUP, and the loop leaves it ignored.
    let signals = not_ignored(&[SIGHUP, SIGTERM]);
    assert!(signals.contains(&SIGTERM));
    for signal in signals {
        signal_hook::low_level::raise(signal).unwrap();
        let command = if signal == SIGHUP { 3 } else { 2 };
        end.until(|seen| *seen == SeenInput::Command(command));
    }
}

#[test]
fn seeds_differ() {
    assert_ne!(seed(), seed());
}
