//! Bounds on peers, and mistakes of callers.

use super::*;

#[test]
fn clients_are_refused_when_there_are_too_many_or_the_door_is_closed() {
    let settings = Settings { max_connections: 1, ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let (ours, _) = pair.connected();
    pair.connect();
    pair.run(Duration::from_millis(100));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::ByTransport, Some(2)));
    assert_eq!(end.reason, "the server refuses new connections");
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(Duration::from_secs(5));
    pair.cores[SERVER].set_accepting(false);
    pair.events[CLIENT].clear();
    pair.connect();
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.end_of(CLIENT).expect("an end").code, Some(2));
}

#[test]
fn many_handshakes_make_newcomers_prove_their_address() {
    let settings = Settings { retry_above: 0, ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let ours = pair.connect();
    pair.exchange();
    pair.run(RTT / 2 + Duration::from_millis(1));
    assert_eq!(pair.handle_of(SERVER), None, "no connection before the address is proved");
    pair.run(Duration::from_millis(200));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { .. })));
    assert_eq!(pair.cores[SERVER].handshakes, 0);
    pair.cores[CLIENT].close(ours, 0, b"");
}

#[test]
fn the_owner_is_asked_when_it_wants_to_be() {
    let settings = Settings { ask_incoming: true, ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let ask = |pair: &mut Pair| {
        pair.events[SERVER].clear();
        pair.run(Duration::from_millis(30));
        pair.events[SERVER].iter().rev().find_map(|event| match event {
            Event::Incoming { incoming, validated, .. } => Some((*incoming, *validated)),
            _ => None,
        })
    };
    pair.connect();
    let (incoming, validated) = ask(&mut pair).expect("asked");
    assert!(!validated);
    pair.cores[SERVER].retry(incoming);
    let (incoming, validated) = ask(&mut pair).expect("asked again");
    assert!(validated);
    assert!(pair.cores[SERVER].accept(incoming).is_some());
    assert_eq!(pair.cores[SERVER].accept(incoming), None);
    pair.run(Duration::from_millis(100));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { .. })));

    pair.connect();
    let (incoming, _) = ask(&mut pair).expect("asked");
    pair.cores[SERVER].refuse(incoming);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.end_of(CLIENT).expect("an end").code, Some(2));

    pair.connect();
    ask(&mut pair).expect("asked");
    pair.run(Duration::from_secs(30));
    assert!(pair.cores[SERVER].incomings.is_empty(), "who is not answered is forgotten");
}

#[test]
fn calls_that_make_no_sense_do_nothing() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    let core = &mut pair.cores[SERVER];
    for stream in [0, 1, 2, 3, 4000, u64::MAX] {
        core.reset(theirs, stream, 1);
        core.stop(theirs, stream, 1);
        core.pause(theirs, stream);
        core.resume(theirs, stream);
        core.set_priority(theirs, stream, 1);
    }
    assert_eq!(core.write(0, 0, b"nobody", true), 0);
    assert_eq!(core.write(theirs, 2, b"the wrong direction", true), 0);
    assert_eq!(core.stats(u64::MAX).map(|_| ()), None);
    assert_eq!(core.accept(77), None);
    pair.run(Duration::from_millis(100));
    assert!(pair.cores[CLIENT].info(ours).is_some());
    let too_long = pair.cores[CLIENT].export(ours, b"label", b"", 100_000);
    assert_eq!(too_long, None);
    let both = [(CLIENT, ours), (SERVER, theirs)].map(|(side, conn)| pair.cores[side].export(conn, b"label", b"", 32));
    assert!(both[0].is_some() && both[0] == both[1]);
}

/// Any sequence of calls: nothing panics, nothing ends by a failure of its own, and all of it can be closed.
#[test]
fn any_sequence_of_operations_ends_well() {
    for seed in 0..150_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut pair = settled();
        let (ours, theirs) = pair.connected();
        for _ in 0..200 {
            let side = draw(2) as usize;
            let handle = [ours, theirs][side];
            let stream = [0, 1, 2, 3, 4, 6, 7, 400, u64::MAX][draw(9) as usize];
            let bytes = vec![1; [0, 1, 3_000, 200_000][draw(4) as usize]];
            let core = &mut pair.cores[side];
            match draw(14) {
                0 => drop(core.open(handle, draw(2) == 0)),
                1..=3 => drop(core.write(handle, stream, &bytes, draw(4) == 0)),
                4 => core.reset(handle, stream, draw(u64::MAX)),
                5 => core.stop(handle, stream, draw(u64::MAX)),
                6 => core.pause(handle, stream),
                7 => core.resume(handle, stream),
                8 => core.set_priority(handle, stream, draw(100) as i32 - 50),
                9 => core.set_max_streams(handle, draw(2) == 0, draw(300)),
                10 => core.ping(handle),
                11 => drop(core.stream_credit(handle, draw(2) == 0, 50)),
                12 if draw(20) == 0 => core.close(handle, draw(u64::MAX), b"any"),
                _ => pair.run(Duration::from_millis(draw(60))),
            }
        }
        pair.cores[CLIENT].close(ours, 0, b"");
        pair.cores[SERVER].close(theirs, 0, b"");
        pair.run(Duration::from_secs(40));
        assert!(pair.cores.iter().all(|core| core.connection_count() == 0 && core.occupied == 0), "seed {seed}");
        for side in [CLIENT, SERVER] {
            assert!(pair.end_of(side).is_none_or(|end| end.kind != EndKind::Internal), "seed {seed}");
        }
    }
}

/// Nothing can be sent to port 0, and the attempt would make quinn-udp give up GSO and ECN for everybody (issue 9, point 1).
#[test]
fn what_comes_from_port_0_is_not_answered() {
    let mut pair = settled();
    pair.connect();
    let now = pair.now;
    let mut first = Vec::new();
    pair.cores[CLIENT].transmit(now, 1, usize::MAX, |_, bytes| {
        first.push(bytes.to_vec());
        Sent::Done
    });
    let nowhere = SocketAddr::new(address(CLIENT).ip(), 0);
    for (from, answers) in [(nowhere, false), (address(CLIENT), true)] {
        pair.cores[SERVER].datagram(now, from, None, None, BytesMut::from(&first[0][..]));
        let mut sent = 0;
        pair.cores[SERVER].transmit(now, 1, usize::MAX, |_, _| {
            sent += 1;
            Sent::Done
        });
        assert_eq!(sent > 0, answers, "{from}");
    }
}

/// A client with somebody else's address cannot free its place by CONNECTION_CLOSE: a failed handshake keeps it for
/// `handshake_timeout`, so that newcomers have to prove their address (issue 9, point 3).
#[test]
fn a_handshake_that_failed_keeps_its_place() {
    let settings = Settings { retry_above: 2, handshake_timeout: Duration::from_secs(5), ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let accepted_at_once = |pair: &mut Pair| {
        pair.events[SERVER].clear();
        let ours = pair.connect();
        pair.exchange();
        pair.cores[CLIENT].close(ours, 0, b"");
        pair.run(RTT * 2);
        pair.handle_of(SERVER).is_some()
    };
    let accepted: Vec<_> = (0..4).map(|_| accepted_at_once(&mut pair)).collect();
    assert_eq!(accepted, [true, true, false, false]);
    assert!(pair.cores[SERVER].failed_handshakes.len() <= 2, "what is remembered is bounded");
    pair.run(Duration::from_secs(5));
    assert!(accepted_at_once(&mut pair), "the places are free again");
}

/// A time-out of any length is one that never comes, not an overflow (issue 9, point 10).
#[test]
fn a_time_out_may_be_longer_than_time_lasts() {
    let ages = Duration::from_secs_f64(1e19);
    let settings =
        Settings { handshake_timeout: ages, keep_alive: Some(ages), ask_incoming: true, ..Settings::default() };
    let mut pair = Pair::new(Settings { handshake_timeout: ages, ..Settings::default() }, settings);
    let ours = pair.connect();
    pair.run(RTT);
    assert!(pair.has(SERVER, |event| matches!(event, Event::Incoming { .. })));
    pair.cores[CLIENT].set_keep_alive(ours, Some(ages));
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(RTT);
    assert!(Settings { initial_rtt: ages, ..Settings::default() }.check().is_err(), "QUIC multiplies it");
}

/// ICMP can be forged: after the handshake it makes us ask by PING, and only silence then ends the connection, long before the
/// idle time-out (issue 9, point 22).
#[test]
fn an_unreachable_peer_is_asked_and_then_given_up() {
    const REFUSED: i32 = 111;
    let mut pair = settled();
    let (ours, _) = pair.connected();
    for _ in 0..10 {
        pair.cores[CLIENT].unreachable(Some(address(SERVER).ip()), REFUSED);
        pair.run(Duration::from_millis(300));
    }
    assert!(pair.end_of(CLIENT).is_none(), "whoever answers is there");
    pair.blocked = true;
    let before = pair.log.len();
    pair.cores[CLIENT].unreachable(Some(address(SERVER).ip()), REFUSED);
    pair.exchange();
    assert!(pair.log.len() > before, "asked at once");
    pair.cores[CLIENT].unreachable(None, REFUSED);
    pair.run(Duration::from_millis(300));
    assert!(pair.end_of(CLIENT).is_none(), "one answer needs time");
    pair.cores[CLIENT].unreachable(None, REFUSED);
    pair.run(Duration::from_millis(1));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code, end.reason.as_str()), (EndKind::Unreachable, Some(111), "connection refused"));
    assert!(pair.cores[CLIENT].info(ours).is_none());
}

/// Before the handshake is done there is nobody to ask: the next address is tried.
#[test]
fn an_unreachable_server_ends_a_handshake_at_once() {
    let mut pair = settled();
    pair.blocked = true;
    pair.connect();
    pair.exchange();
    pair.cores[CLIENT].unreachable(Some(address(CLIENT).ip()), 113);
    pair.exchange();
    assert_eq!(pair.end_of(CLIENT).map(|end| end.kind), Some(EndKind::Unreachable), "a router may have told it");
}

/// PINGs alone do not hold a place that somebody else could use; an open request does (issue 9, point 5).
#[test]
fn the_idlest_gives_way_when_places_run_out() {
    let settings = Settings { max_connections: 2, evict_idle_after: Duration::from_secs(5), ..Settings::default() };
    let client = Settings { keep_alive: Some(Duration::from_millis(500)), ..Settings::default() };
    let mut pair = Pair::new(client, settings);
    let (idle, _) = pair.connected();
    pair.run(Duration::from_secs(1));
    let (asking, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(asking, false).expect("credit");
    pair.cores[CLIENT].write(asking, stream, b"a request that is not over", false);
    pair.run(Duration::from_secs(3));
    pair.connect();
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.end_of(CLIENT).expect("an end").code, Some(2), "nobody was idle for so long");
    pair.run(Duration::from_secs(2));
    pair.events[CLIENT].clear();
    let newcomer = pair.connect();
    pair.run(Duration::from_millis(100));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { conn, .. } if *conn == newcomer)));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::ByApplication, Some(crate::core::NO_ERROR)));
    assert!(pair.cores[CLIENT].info(idle).is_none() && pair.cores[CLIENT].info(asking).is_some());
    assert_eq!(pair.cores[SERVER].connection_count(), 2);
}

/// One address does not get every place, and whoever only claims an address takes none of its places (issue 9, point 5).
#[test]
fn an_address_has_so_many_places() {
    let settings = Settings { max_connections_per_address: 2, ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let (first, _) = pair.connected();
    pair.connected();
    let refused = |pair: &mut Pair| {
        pair.events[CLIENT].clear();
        pair.connect();
        pair.run(Duration::from_millis(200));
        pair.end_of(CLIENT).is_some_and(|end| end.code == Some(2))
    };
    assert!(refused(&mut pair));
    pair.client_address.set_ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)));
    assert_eq!(pair.cores[SERVER].places.connections_of(Neighbour::at(pair.client_address)), 0);
    pair.client_address = address(CLIENT);
    pair.cores[CLIENT].close(first, 0, b"");
    pair.run(Duration::from_millis(200));
    assert!(!refused(&mut pair), "a place is free again");
}

/// Windows beyond the first ones come out of one budget; whoever finds it used up goes on with the first ones (issue 9, point 5).
#[test]
fn one_budget_bounds_what_all_connections_hold() {
    for (byte_budget, wide) in [(0, false), (100 << 20, true)] {
        let mut pair = Pair::new(Settings::default(), Settings { byte_budget, ..Settings::default() });
        let (ours, theirs) = pair.connected();
        let stream = pair.cores[SERVER].open(theirs, true).expect("credit");
        let waiting = pair.cores[SERVER].write(theirs, stream, &vec![1; 5_000_000], true);
        assert_eq!(5_000_000 - waiting > FIRST_SEND_WINDOW + 32_000, wide, "{waiting}");
        let up = pair.cores[CLIENT].open(ours, false).expect("credit");
        pair.cores[CLIENT].write(ours, up, &vec![2; 2_000_000], true);
        pair.run(Duration::from_secs(20));
        assert_eq!(pair.data(CLIENT, stream), (vec![1; 5_000_000], true), "slower, but whole");
        assert_eq!(pair.data(SERVER, up), (vec![2; 2_000_000], true));
        assert_eq!(pair.cores[SERVER].places.granted() > 0, wide);
        pair.cores[CLIENT].close(ours, 0, b"");
        pair.run(Duration::from_secs(10));
        assert_eq!(pair.cores[SERVER].places.granted(), 0);
    }
}

/// Before anything of it was read, nobody makes a server hold more than the first window (issue 9, point 5).
#[test]
fn unread_bytes_are_few_before_somebody_reads() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    pair.run(Duration::from_secs(1));
    let before = pair.cores[SERVER].stats(theirs).expect("known").0.received_bytes;
    for _ in 0..8 {
        let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
        pair.cores[SERVER].pause(theirs, stream);
        pair.cores[CLIENT].write(ours, stream, &vec![2; 200_000], true);
    }
    pair.run(Duration::from_secs(5));
    let received = pair.cores[SERVER].stats(theirs).expect("known").0.received_bytes - before;
    assert!(received < FIRST_RECEIVE_WINDOW + 10_000, "{received}");
}
