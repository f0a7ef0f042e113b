//! Waiting, other threads, look-ups and signals.

use super::*;

#[test]
fn idle_wait_ends_at_deadline_and_not_before() {
    let mut client = End::client();
    let mut relay = End::relay();
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
    let mut end = End::client();
    assert!(end.net.wait(Some(Tick::ZERO)).tick > Tick::ZERO);
    assert_eq!(end.net.stats().polls, 1);
}

#[test]
fn other_thread_wakes_loop() {
    let mut end = End::client();
    let inlet = end.net.inlet();
    let thread = std::thread::spawn(move || {
        assert!(inlet.command(1));
        inlet.committed(Ticket(2));
        inlet.not_committed(Ticket(3));
    });
    end.net.wait(None);
    end.turn_until(|end| (end.got.len() == 3).then_some(()));
    thread.join().unwrap();
    assert_eq!(end.got, [Got::Command(1), Got::Committed(Ticket(2)), Got::NotCommitted(Ticket(3))]);
}

#[test]
fn many_commands_arrive_in_order_without_starving_packets() {
    let mut end = End::relay();
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let inlet = end.net.inlet();
    (0..2000).for_each(|i| inlet.try_command(i).unwrap());
    peer.send_to(b"a packet", end.net.udp_addr().unwrap()).unwrap();
    end.turn_until(|end| (end.got.len() == 2001).then_some(()));
    let commands = end.got.iter().filter_map(|got| if let Got::Command(i) = got { Some(*i) } else { None });
    assert!(commands.eq(0..2000));
    let packet = end.got.iter().position(|got| matches!(got, Got::Packet(..))).unwrap();
    assert!(packet < 1000, "it came after {packet} commands");
}

/// The wake-up for the last command comes while earlier commands, already taken from the inlet,
/// still wait.
#[test]
fn command_between_turns_is_taken_despite_full_turn() {
    let mut end = End::client();
    let inlet = end.net.inlet();
    (0..2000).for_each(|i| inlet.try_command(i).unwrap());
    end.turn();
    assert_eq!(end.got.len(), crate::base::TURN_INPUTS_MAX, "a turn is bounded");
    inlet.try_command(2000).unwrap();
    end.turn_until(|end| (end.got.len() == 2001).then_some(()));
    inlet.try_command(2001).unwrap();
    end.turn_until(|end| (end.got.len() == 2002).then_some(()));
    assert!(end.got.into_iter().eq((0..2002).map(Got::Command)));
}

#[test]
fn ended_loop_takes_no_commands() {
    let inlet = End::client().net.inlet();
    assert_eq!(inlet.try_command(1), Err(1));
    assert!(!inlet.command(1));
}

#[test]
fn hosts_are_looked_up_and_addresses_resolve_at_once() {
    let mut end = End::client();
    let host = |text: &str| text.parse::<HostPort>().unwrap();
    end.act(Effect::LookUp(host("[::1]:5")));
    let addr = "[::1]:5".parse().unwrap();
    assert_eq!(end.until(|_| true), Got::Resolved(host("[::1]:5"), vec![addr]));
    end.got.clear();
    end.act(Effect::LookUp(host("localhost:9")));
    end.act(Effect::LookUp(host("localhost:9")));
    let Got::Resolved(asked, addrs) = end.until(|_| true) else { panic!("{:?}", end.got) };
    assert_eq!(asked, host("localhost:9"));
    assert!(addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 9) && !addrs.is_empty());
}

#[test]
fn effects_of_other_layers_are_passed_on_in_order() {
    let mut end = End::client();
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
        Signal::Interrupt => 1,
        Signal::Terminate => 2,
        Signal::HangUp => 3,
    };
    let mut end = End::new(NetConfig { on_signal: Some(on_signal), ..NetConfig::client() });
    signal_hook::low_level::raise(signal_hook::consts::SIGHUP).unwrap();
    signal_hook::low_level::raise(signal_hook::consts::SIGTERM).unwrap();
    end.turn_until(|end| (end.got.len() == 2).then_some(()));
    assert!(end.got.contains(&Got::Command(2)) && end.got.contains(&Got::Command(3)));
}

#[test]
fn seeds_differ() {
    assert_ne!(seed(), seed());
}
