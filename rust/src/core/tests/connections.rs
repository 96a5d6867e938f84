//! How connections begin, live and end.

use super::*;

#[test]
fn a_handshake_tells_its_parameters_in_order() {
    let mut pair = settled();
    let ours = pair.connect();
    pair.run(Duration::from_millis(200));
    let told: Vec<_> = pair.events[SERVER].iter().map(std::mem::discriminant).collect();
    let theirs = pair.handle_of(SERVER).expect("accepted");
    let expected = [
        Event::Accepted { conn: theirs, remote: address(CLIENT) },
        Event::Handshake { conn: theirs, alpn: None, server_name: None },
        Event::Connected { conn: theirs, early_data: false },
    ];
    assert_eq!(told, expected.iter().map(std::mem::discriminant).collect::<Vec<_>>());
    assert!(pair.has(SERVER, |event| matches!(event,
        Event::Handshake { alpn: Some(alpn), server_name: Some(name), .. } if alpn == b"h3" && name == "localhost")));
    let info = pair.cores[CLIENT].info(ours).expect("known");
    assert_eq!((info.tls.resumed, info.peer_certificates.len(), info.remote), (false, 1, address(SERVER)));
    assert!(info.tls.cipher_suite.is_some_and(|suite| (0x1301..=0x1303).contains(&suite)));
}

#[test]
fn closing_tells_both_ends_and_kills_the_handle() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    assert_eq!(pair.cores[CLIENT].connection_count(), 1);
    pair.cores[CLIENT].close(ours, 0x10c, b"enough");
    assert!(pair.cores[CLIENT].pending());
    pair.run(Duration::from_millis(50));
    let end = |kind| End { kind, code: Some(0x10c), reason: "enough".to_owned() };
    assert_eq!(pair.end_of(CLIENT), Some(end(EndKind::Locally)));
    assert_eq!(pair.end_of(SERVER), Some(end(EndKind::ByApplication)));
    for (side, handle) in [(CLIENT, ours), (SERVER, theirs)] {
        assert_eq!(pair.cores[side].connection_count(), 0);
        assert_eq!(pair.cores[side].open(handle, false), None);
        assert!(pair.cores[side].info(handle).is_none());
    }
    pair.run(Duration::from_secs(10));
    assert!(pair.cores.iter().all(|core| core.occupied == 0 && core.timers.next().is_none()));
}

#[test]
fn handles_are_never_used_again() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(Duration::from_secs(10));
    let (next, _) = pair.connected();
    assert_ne!(ours, next);
    assert_eq!(ours & crate::core::SLOT_MASK, next & crate::core::SLOT_MASK, "the slot is the same, the handle is not");
    assert_eq!(pair.cores[CLIENT].open(ours, false), None);
    pair.cores[CLIENT].close(ours, 1, b"wrong");
    assert_eq!(pair.cores[CLIENT].connection_count(), 1);
    assert!(pair.cores[CLIENT].open(next, false).is_some());
}

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    let settings = Settings { handshake_timeout: Duration::from_secs(2), ..Settings::default() };
    let mut pair = Pair::new(settings, Settings::default());
    pair.blocked = true;
    pair.connect();
    pair.run(Duration::from_millis(1900));
    assert_eq!(pair.end_of(CLIENT), None);
    pair.run(Duration::from_millis(200));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::TimedOut, None));
    assert!(end.reason.contains("2s"), "{}", end.reason);
}

#[test]
fn silence_ends_a_connection_unless_it_is_kept_alive() {
    let settings = Settings { idle_timeout: Duration::from_secs(3), ..Settings::default() };
    let mut pair = Pair::new(settings.clone(), settings.clone());
    pair.connected();
    pair.run(Duration::from_secs(4));
    assert_eq!(pair.end_of(CLIENT).expect("an end").kind, EndKind::TimedOut);
    assert_eq!(pair.end_of(SERVER).expect("an end").kind, EndKind::TimedOut);

    let alive = Settings { keep_alive: Some(Duration::from_secs(1)), ..settings };
    let mut pair = Pair::new(alive.clone(), Settings { keep_alive: None, ..alive });
    let (ours, _) = pair.connected();
    pair.run(Duration::from_secs(20));
    assert_eq!(pair.end_of(CLIENT), None);
    pair.cores[CLIENT].set_keep_alive(ours, None);
    pair.run(Duration::from_secs(6));
    assert!(pair.end_of(CLIENT).is_some());
}

#[test]
fn a_panic_ends_one_connection_and_nothing_else() {
    let mut pair = settled();
    let (first, _) = pair.connected();
    let (second, theirs) = pair.connected();
    let slot = pair.cores[SERVER].slot_of(theirs).expect("known");
    pair.cores[SERVER].conns[slot].as_mut().expect("there").sabotaged = true;
    pair.cores[CLIENT].ping(second);
    pair.run(Duration::from_millis(100));
    let end = pair.end_of(SERVER).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::Internal, Some(INTERNAL_ERROR)));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::ByApplication, Some(INTERNAL_ERROR)));
    assert_eq!(pair.cores[SERVER].connection_count(), 1);
    let stream = pair.cores[CLIENT].open(first, false).expect("credit");
    pair.cores[CLIENT].write(first, stream, b"still here", true);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.data(SERVER, stream), (b"still here".to_vec(), true));
    pair.run(Duration::from_secs(20));
    assert_eq!(pair.cores[SERVER].occupied, 1);
}

#[test]
fn a_connection_that_panics_again_is_dropped() {
    let mut pair = settled();
    let (_, theirs) = pair.connected();
    let core = &mut pair.cores[SERVER];
    let slot = core.slot_of(theirs).expect("known");
    for _ in 0..2 {
        core.guard(slot, |_| panic!("on purpose"));
    }
    assert_eq!((core.occupied, core.open, core.handshakes), (0, 0, 0));
    pair.run(Duration::from_secs(40));
    pair.connected();
}

#[test]
fn the_same_seed_and_calls_give_the_same_packets() {
    let run = || {
        let mut pair = settled();
        let (ours, theirs) = pair.connected();
        let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
        pair.cores[CLIENT].write(ours, stream, &[1; 200_000], true);
        pair.run(Duration::from_millis(15));
        pair.cores[SERVER].write(theirs, stream, &[2; 300_000], true);
        pair.run(Duration::from_secs(3));
        pair.cores[CLIENT].close(ours, 0, b"");
        pair.run(Duration::from_secs(3));
        pair.log
    };
    let first = run();
    assert!(first.len() > 300);
    for _ in 0..3 {
        assert_eq!(first, run());
    }
}

#[test]
fn sessions_are_resumed_and_early_data_is_taken() {
    let (client, server) = (client_tls(true), server_tls(true));
    let early = Settings::default();
    let mut pair = Pair::with_tls(early.clone(), early, client, server);
    let (ours, _) = pair.connected();
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(Duration::from_secs(5));
    pair.events.iter_mut().for_each(Vec::clear);

    let ours = pair.connect();
    let stream = pair.cores[CLIENT].open(ours, false).expect("remembered credit");
    pair.cores[CLIENT].write(ours, stream, b"early", true);
    pair.run(RTT / 2 + Duration::from_millis(1));
    assert_eq!(pair.data(SERVER, stream), (b"early".to_vec(), true), "half a round trip after connect");
    pair.run(Duration::from_millis(100));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { early_data: true, .. })));
    assert!(pair.has(SERVER, |event| matches!(event, Event::Connected { early_data: true, .. })));
    let theirs = pair.handle_of(SERVER).expect("accepted");
    assert!(pair.cores[CLIENT].info(ours).expect("known").tls.resumed);
    assert!(pair.cores[SERVER].info(theirs).expect("known").tls.resumed);
}

#[test]
fn early_data_that_is_refused_leaves_no_trace() {
    let client = client_tls(true);
    let mut pair = Pair::with_tls(Settings::default(), Settings::default(), client.clone(), server_tls(true));
    let (ours, _) = pair.connected();
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(Duration::from_secs(5));
    pair.events.iter_mut().for_each(Vec::clear);
    // Another server, which does not know the session.
    pair.cores[SERVER].set_server_tls(server_tls(true));
    let ours = pair.connect();
    let stream = pair.cores[CLIENT].open(ours, false).expect("remembered credit");
    assert_eq!(pair.cores[CLIENT].stream_credit(ours, false, 3), 3);
    pair.cores[CLIENT].write(ours, stream, &vec![0; 2_000_000], true);
    pair.run(Duration::from_millis(100));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { early_data: false, .. })));
    assert!(!pair.has(SERVER, |event| matches!(event, Event::Data { .. })));
    assert_eq!(pair.cores[CLIENT].stats(ours).expect("known").1, 0);
    assert_eq!(pair.cores[CLIENT].open(ours, false), Some(0), "numbering begins again");
    pair.cores[CLIENT].write(ours, 0, b"again", true);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.data(SERVER, 0), (b"again".to_vec(), true));
}

#[test]
fn the_peer_may_move() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    pair.client_address.set_port(50_000);
    pair.cores[CLIENT].rebound();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[CLIENT].write(ours, stream, b"from elsewhere", true);
    pair.run(Duration::from_millis(200));
    assert!(pair.has(SERVER, |event| matches!(event, Event::PathChanged { remote, .. } if remote.port() == 50_000)));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Acked { .. })));
}

#[test]
fn worker_ids_are_congruent_to_the_index() {
    use crate::core::quinn::cids;
    for (index, count) in [(0, 1), (2, 3), (254, 255), (1, 7)] {
        assert!(cids(Some((index, count)), 500).iter().all(|cid| cid[0] % count == index && cid.len() == 8));
    }
    let firsts: std::collections::HashSet<u8> = cids(Some((1, 2)), 2000).iter().map(|cid| cid[0]).collect();
    assert_eq!(firsts.len(), 128, "every byte that fits is used");
}

#[test]
fn certificates_are_picked_by_name_and_failures_are_sentences() {
    let (first, second) = (named(&["localhost"]), named(&["*.example.org", "example.net"]));
    let identities =
        [&first, &second].map(|identity| (identity.chain.as_bytes().to_vec(), identity.key.as_bytes().to_vec()));
    let identities: Vec<_> = identities.iter().map(|(chain, key)| (&chain[..], &key[..])).collect();
    let server = tls::server(&identities, vec![b"h3".to_vec()], None, false, None, None).expect("settings");
    let trust = format!("{}{}", first.chain, second.chain);
    let client = tls::client(Some(trust.as_bytes()), true, vec![b"h3".to_vec()], false, None, None).expect("settings");
    for (name, problem) in [
        ("a.example.org", None),
        ("EXAMPLE.net", None),
        ("localhost", None),
        ("other.test", Some("the certificate is not for other.test; it is for localhost")),
        ("a.b.example.org", Some("the certificate is not for a.b.example.org; it is for localhost")),
    ] {
        let mut pair = Pair::with_tls(Settings::default(), Settings::default(), client.clone(), server.clone());
        pair.cores[CLIENT].connect(address(SERVER), name, None).expect("client settings").expect("a handle");
        pair.run(Duration::from_millis(200));
        match problem {
            None => assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { .. })), "{name}"),
            Some(sentence) => {
                let end = pair.end_of(CLIENT).expect("an end");
                assert_eq!((end.kind, end.reason.as_str()), (EndKind::TransportError, sentence));
                assert_eq!(pair.end_of(SERVER).expect("an end").kind, EndKind::ByTransport);
            }
        }
    }
}

#[test]
fn no_common_protocol_is_told_to_both() {
    let other = tls::client(Some(certificate().chain.as_bytes()), true, vec![b"hq".to_vec()], false, None, None);
    let mut pair =
        Pair::with_tls(Settings::default(), Settings::default(), other.expect("settings"), server_tls(false));
    pair.connect();
    pair.run(Duration::from_millis(100));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::ByTransport, Some(0x178)));
    assert!(end.reason.contains("ALPN"), "{}", end.reason);
}

#[test]
fn shutting_down_says_goodbye() {
    let mut pair = settled();
    pair.connected();
    pair.cores[SERVER].shutdown();
    pair.run(Duration::from_millis(50));
    assert_eq!(pair.end_of(CLIENT).expect("an end").code, Some(crate::core::NO_ERROR));
    assert_eq!(pair.end_of(SERVER).expect("an end").kind, EndKind::Locally);
}

#[test]
fn the_end_is_told_at_once_although_the_window_is_full() {
    let mut pair = settled();
    let (_, theirs) = pair.connected();
    let stream = pair.cores[SERVER].open(theirs, true).expect("credit");
    pair.cores[SERVER].write(theirs, stream, &vec![7; 4_000_000], true);
    pair.run(RTT * 3);
    pair.cores[SERVER].close(theirs, 0x100, b"enough");
    pair.run(RTT);
    let end = End { kind: EndKind::ByApplication, code: Some(0x100), reason: "enough".to_owned() };
    assert_eq!(pair.end_of(CLIENT), Some(end));
}
