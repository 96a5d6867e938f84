//! Streams: data, credit, files, priorities.

use super::*;

#[test]
fn streams_carry_bytes_both_ways_and_say_when_all_is_acknowledged() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    let long: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    assert!(pair.cores[CLIENT].write(ours, stream, &long, true) > 0);
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.data(SERVER, stream), (long, true));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Acked { stream: acked, .. } if *acked == stream)));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Drained { .. })));
    let buffers: [&[u8]; 3] = [b"one ", b"", b"two"];
    assert_eq!(pair.cores[SERVER].write_all(theirs, stream, &buffers, true), 0);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.data(CLIENT, stream), (b"one two".to_vec(), true));
}

#[test]
fn one_piece_of_data_per_wake_up() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    pair.cores[CLIENT].write(ours, stream, &[7; 9000], true);
    pair.run(Duration::from_millis(100));
    let pieces = pair.events[SERVER].iter().filter(|event| matches!(event, Event::Data { .. })).count();
    assert_eq!(pieces, 1);
}

#[test]
fn stop_sending_is_answered_by_reset_stream_with_its_code() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[CLIENT].write(ours, stream, &vec![1; 2_000_000], false);
    pair.run(Duration::from_millis(50));
    pair.cores[SERVER].stop(theirs, stream, 0x10c);
    pair.run(Duration::from_millis(100));
    let told = &pair.events[CLIENT];
    let position = |wanted: fn(&Event) -> bool| told.iter().position(wanted).expect("it was told");
    let stopped = position(|event| matches!(event, Event::Stop { code: 0x10c, .. }));
    let unsent = position(|event| matches!(event, Event::Unsent { bytes: 1..2_000_000, .. }));
    assert_eq!(unsent + 1, stopped, "what will never be sent is told before the reason");
    assert_eq!(pair.cores[CLIENT].write(ours, stream, b"more", false), 0);
    let before = pair.events[SERVER].len();
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.events[SERVER].len(), before, "a stopped stream tells nothing more");

    // The other direction of the duty, seen by somebody who did not stop: a plain reset.
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    pair.cores[CLIENT].write(ours, stream, b"begun", false);
    pair.run(Duration::from_millis(50));
    pair.cores[CLIENT].reset(ours, stream, 0x107);
    pair.run(Duration::from_millis(50));
    assert!(pair.has(SERVER, |event| matches!(event, Event::Reset { code: 0x107, .. })));
}

#[test]
fn stream_credit_is_exact_runs_out_and_comes_back() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    assert_eq!(pair.cores[CLIENT].stream_credit(ours, true, 5), 5);
    assert_eq!(pair.cores[CLIENT].stream_credit(ours, true, 100), 16);
    let opened: Vec<_> = std::iter::from_fn(|| pair.cores[CLIENT].open(ours, true)).collect();
    assert_eq!(opened, (0..16).map(|n| 4 * n + 2).collect::<Vec<u64>>());
    assert_eq!(pair.cores[CLIENT].stream_credit(ours, true, 1), 0);
    let before = pair.log.len();
    pair.run(Duration::from_millis(50));
    assert_eq!(pair.log.len(), before, "asking sends nothing");
    for stream in opened {
        pair.cores[CLIENT].write(ours, stream, b"x", true);
    }
    pair.run(Duration::from_millis(100));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::StreamsAvailable { unidirectional: true, .. })));
    assert_eq!(pair.cores[CLIENT].open(ours, true), Some(4 * 16 + 2));
    pair.cores[SERVER].set_max_streams(theirs, true, 40);
    pair.run(Duration::from_millis(100));
    assert!(pair.cores[CLIENT].stream_credit(ours, true, 100) > 30);
}

#[test]
fn a_paused_stream_is_held_by_its_window_and_goes_on_after_resume() {
    let settings = Settings { stream_receive_window: 20_000, ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let (ours, theirs) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[SERVER].pause(theirs, stream);
    pair.cores[CLIENT].write(ours, stream, &vec![3; 100_000], true);
    pair.run(Duration::from_secs(2));
    assert!(!pair.has(SERVER, |event| matches!(event, Event::Data { .. })));
    pair.cores[SERVER].resume(theirs, stream);
    assert!(pair.cores[SERVER].pending(), "what is there is told without a datagram");
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.data(SERVER, stream), (vec![3; 100_000], true));
}

#[test]
fn a_reset_of_a_paused_stream_is_told() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[SERVER].pause(theirs, stream);
    pair.cores[CLIENT].write(ours, stream, b"begun", false);
    pair.run(Duration::from_millis(50));
    pair.cores[CLIENT].reset(ours, stream, 5);
    pair.run(Duration::from_millis(50));
    assert!(pair.has(SERVER, |event| matches!(event, Event::Reset { code: 5, .. })));
}

#[test]
fn the_first_read_of_a_unidirectional_stream_is_cut_and_paused() {
    let settings = Settings { first_read_unidirectional: 16, stream_receive_window: 8000, ..Settings::default() };
    let mut pair = Pair::new(settings, Settings::default());
    let (ours, theirs) = pair.connected();
    pair.run(Duration::from_secs(1));
    let before = pair.cores[CLIENT].stats(ours).expect("known").0.received_bytes;
    let push = pair.cores[SERVER].open(theirs, true).expect("credit");
    pair.cores[SERVER].write(theirs, push, &[9; 50_000], true);
    let short = pair.cores[SERVER].open(theirs, true).expect("credit");
    pair.cores[SERVER].write(theirs, short, b"tiny", true);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.data(CLIENT, push), (vec![9; 16], false));
    assert_eq!(pair.data(CLIENT, short), (b"tiny".to_vec(), true));
    let received = pair.cores[CLIENT].stats(ours).expect("known").0.received_bytes - before;
    assert!(received < 8000 + 2000, "no credit beyond the first window: {received}");
    pair.cores[CLIENT].resume(ours, push);
    assert!(pair.cores[CLIENT].pending());
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.data(CLIENT, push), (vec![9; 50_000], true));
}

#[test]
fn a_full_stream_is_told_drained_once_per_filling() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    let waiting = pair.cores[CLIENT].write(ours, stream, &vec![0; 1_000_000], false);
    assert!(waiting > 65536);
    assert_eq!(pair.cores[CLIENT].stats(ours).expect("known").1, waiting);
    pair.run(Duration::from_secs(3));
    let drained = pair.events[CLIENT].iter().filter(|event| matches!(event, Event::Drained { .. })).count();
    assert_eq!(drained, 1);
    assert_eq!(pair.cores[CLIENT].write(ours, stream, b"", true), 0);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.data(SERVER, stream).0.len(), 1_000_000);
    pair.cores[SERVER].close(theirs, 0, b"");
}

#[test]
fn data_that_arrived_before_the_end_is_told_before_it() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    pair.cores[CLIENT].write(ours, stream, b"last words", true);
    pair.exchange();
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(Duration::from_millis(50));
    assert!(matches!(&pair.events[SERVER][..], [Event::Data { fin: true, .. }, Event::Closed { .. }]));
}

fn temporary_file(content: &[u8]) -> std::path::PathBuf {
    static SERIAL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("h3push-{}-{number}", std::process::id()));
    std::fs::File::create(&path).expect("a file").write_all(content).expect("room");
    path
}

#[test]
fn a_file_is_sent_between_other_writes_with_little_in_memory() {
    let content: Vec<u8> = (0..5_000_000u32).map(|n| (n / 7) as u8).collect();
    let path = temporary_file(&content);
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[CLIENT].write(ours, stream, b"head", false);
    let file = pair.cores[CLIENT].files().open(&path).expect("the file");
    pair.cores[CLIENT].write_file(ours, stream, (file, 1_000_000, 3_000_000), false);
    let waiting = pair.cores[CLIENT].write(ours, stream, b"tail", true);
    assert!(waiting > 2_000_000);
    let mut most = 0;
    for _ in 0..100 {
        most = most.max(pair.cores[CLIENT].stats(ours).expect("known").1);
        pair.run(Duration::from_millis(40));
    }
    assert!(most <= 64 * 1024 + 4, "{most} bytes in memory");
    let expected = [b"head", &content[1_000_000..4_000_000], b"tail"].concat();
    assert_eq!(pair.data(SERVER, stream), (expected, true));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Drained { .. })));
    std::fs::remove_file(path).expect("still there");
}

#[test]
fn bytes_that_somebody_else_keeps_are_sent_in_their_place() {
    let content: Bytes = (0..3_000_000u32).map(|n| (n / 7) as u8).collect::<Vec<_>>().into();
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    assert_eq!(pair.cores[CLIENT].write_shared(ours, stream, content.slice(..1_000), false), 0);
    assert!(pair.cores[CLIENT].write_shared(ours, stream, content.slice(1_000..), false) > 0);
    pair.cores[CLIENT].write(ours, stream, b"between", false);
    assert!(pair.cores[CLIENT].write_shared(ours, stream, content.clone(), true) > 3_000_000);
    pair.run(Duration::from_secs(4));
    let expected = [&content[..], b"between", &content[..]].concat();
    assert_eq!(pair.data(SERVER, stream), (expected, true));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Drained { .. })));
    assert_eq!(pair.cores[CLIENT].write_shared(ours, stream, content, true), 0, "it has ended");
}

#[test]
fn a_large_write_does_not_keep_the_others_waiting() {
    let settings = Settings { send_window: 100_000, ..Settings::default() };
    let mut pair = Pair::new(settings, Settings::default());
    let (ours, _) = pair.connected();
    let large = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[CLIENT].write_shared(ours, large, vec![7; 5_000_000].into(), true);
    pair.run(Duration::from_millis(5));
    let urgent = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[CLIENT].set_priority(ours, urgent, 1);
    pair.cores[CLIENT].write(ours, urgent, b"urgent", true);
    while !pair.data(SERVER, urgent).1 {
        pair.run(Duration::from_millis(5));
    }
    let ahead = pair.data(SERVER, large).0.len();
    assert!(ahead < 60_000, "{ahead} bytes went first; only what was on its way may");
}

#[test]
fn a_file_that_is_too_short_resets_its_stream() {
    let path = temporary_file(&[5; 100_000]);
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    let file = pair.cores[CLIENT].files().open(&path).expect("the file");
    pair.cores[CLIENT].write_file(ours, stream, (file, 0, 200_000), true);
    pair.run(Duration::from_secs(1));
    assert!(pair.has(SERVER, |event| matches!(event, Event::Reset { code: INTERNAL_ERROR, .. })));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::FileFailed { stream: failed, .. } if *failed == stream)));
    std::fs::remove_file(path).expect("still there");
}

#[test]
fn urgent_streams_go_first_and_equals_share() {
    let settings = Settings { send_window: 60_000, ..Settings::default() };
    let mut pair = Pair::new(settings, Settings::default());
    let (ours, _) = pair.connected();
    let streams: Vec<_> = (0..3).filter_map(|_| pair.cores[CLIENT].open(ours, false)).collect();
    for (&stream, priority) in streams.iter().zip([0, 0, 5]) {
        pair.cores[CLIENT].set_priority(ours, stream, priority);
        pair.cores[CLIENT].write(ours, stream, &vec![stream as u8; 400_000], true);
    }
    let mut done = Vec::new();
    for _ in 0..600 {
        pair.run(Duration::from_millis(10));
        for &stream in &streams {
            if pair.data(SERVER, stream).1 && !done.contains(&stream) {
                done.push(stream);
                if done.len() == 1 {
                    let other = streams.iter().map(|&stream| pair.data(SERVER, stream).0.len()).min().expect("three");
                    assert!(other < 130_000, "{other}");
                }
                if done.len() == 2 {
                    let least = streams.iter().map(|&stream| pair.data(SERVER, stream).0.len()).min().expect("three");
                    assert!(least > 250_000, "equals share: {least}");
                }
            }
        }
    }
    assert_eq!(done.len(), 3);
    assert_eq!(done[0], streams[2], "the urgent one is first");
}

#[test]
fn datagrams_travel_when_both_ends_take_them() {
    let settings = Settings { max_datagram_frame: 1200, ..Settings::default() };
    let mut pair = Pair::new(settings.clone(), settings);
    let (ours, _) = pair.connected();
    assert!(pair.cores[CLIENT].max_datagram(ours).is_some_and(|most| most > 1000));
    assert!(pair.cores[CLIENT].send_datagram(ours, b"ping"));
    assert!(!pair.cores[CLIENT].send_datagram(ours, &[0; 5000]));
    pair.run(Duration::from_millis(100));
    assert!(pair.has(SERVER, |event| matches!(event, Event::Datagram { data, .. } if &data[..] == b"ping")));
    let mut pair = settled();
    let (ours, _) = pair.connected();
    assert_eq!(pair.cores[CLIENT].max_datagram(ours), None);
}

#[test]
fn unread_events_stop_the_reading_of_streams() {
    let mut pair = settled();
    pair.cores[SERVER].limit_waiting(10_000);
    let (ours, _) = pair.connected();
    let streams: Vec<_> = (0..10).filter_map(|_| pair.cores[CLIENT].open(ours, false)).collect();
    for &stream in &streams {
        pair.cores[CLIENT].write(ours, stream, &[1; 4000], true);
    }
    pair.exchange();
    pair.set_time(pair.now + RTT / 2);
    let first = pair.cores[SERVER].take_events();
    let read: usize = first.iter().map(Event::weight).sum();
    assert!((10_000..13_000).contains(&read), "{read}");
    pair.events[SERVER].extend(first);
    for _ in 0..10 {
        pair.cores[SERVER].read_held_back();
        pair.run(Duration::from_millis(20));
    }
    assert!(streams.iter().all(|&stream| pair.data(SERVER, stream).1));
}

#[test]
fn a_stream_limit_beyond_reason_is_cut() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    pair.cores[SERVER].set_max_streams(theirs, true, u64::MAX);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.cores[CLIENT].stream_credit(ours, true, 1_000), 1_000);
}

/// A socket that is full is waited for, a budget that is used up is not: the two are told apart (issue 9, point 2).
#[test]
fn what_is_left_to_send_says_why() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    pair.cores[CLIENT].write(ours, stream, &[1; 10_000], true);
    let now = pair.now;
    assert_eq!(pair.cores[CLIENT].transmit(now, 1, 1, |_, _| Sent::Done), Flushed::More);
    assert_eq!(pair.cores[CLIENT].transmit(now, 1, 100, |_, _| Sent::Full), Flushed::Full);
    assert_eq!(pair.cores[CLIENT].transmit(now, 1, 100, |_, _| Sent::Done), Flushed::Done);
}

/// Bytes written to a stream that was reset are dropped, also while the connection has no credit: nobody would ask for them.
#[test]
fn a_stream_that_was_reset_takes_nothing() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    pair.cores[CLIENT].write(ours, stream, &vec![1; 3_000_000], false);
    pair.cores[CLIENT].reset(ours, stream, 1);
    pair.cores[CLIENT].set_priority(ours, stream, 5);
    assert_eq!(pair.cores[CLIENT].write(ours, stream, &[1; 1000], true), 0);
    assert_eq!(pair.cores[CLIENT].stats(ours).expect("known").1, 0);
}

#[test]
fn a_stream_is_opened_and_sent_in_one_call() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    let send =
        |pair: &mut Pair, text: &'static [u8]| pair.cores[CLIENT].send_stream(ours, -7, Bytes::from_static(text));
    let sent: Vec<_> = std::iter::from_fn(|| send(&mut pair, b"all of it")).collect();
    assert_eq!(sent, (0..16).map(|n| 4 * n + 2).collect::<Vec<u64>>(), "as many as the peer allows");
    pair.run(Duration::from_millis(100));
    assert!(sent.iter().all(|&stream| pair.data(SERVER, stream) == (b"all of it".to_vec(), true)));
    assert_eq!(send(&mut pair, b"more"), Some(4 * 16 + 2));
    pair.cores[SERVER].close(theirs, 0, b"");
    pair.run(Duration::from_millis(100));
    assert_eq!(send(&mut pair, b"nobody is there"), None);
}
