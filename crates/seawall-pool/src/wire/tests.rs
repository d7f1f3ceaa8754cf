use std::sync::Arc;

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::sync::Notify;

use super::{Event, Scanner, Wire};

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn events(pieces: &[&[u8]]) -> Vec<Event> {
    let (mut scanner, mut events) = (Scanner::new(), Vec::new());
    for piece in pieces {
        scanner.feed(piece, |event| {
            if event != Event::Bare {
                events.push(event);
            }
        });
    }
    events
}

/// What a message that is read in one piece should give.
fn expected(tag: u8, body: &[u8]) -> Option<Event> {
    match tag {
        b'Z' if !body.is_empty() => Some(Event::Ready(body[0])),
        b'C' | b'S' if !body.is_empty() => {
            let mut seen = [0; 17];
            let kept = body.len().min(17);
            seen[..kept].copy_from_slice(&body[..kept]);
            Some(if tag == b'C' { Event::Command(seen) } else { Event::Parameter(seen) })
        }
        b'A' => Some(Event::Notification),
        b'G' => Some(Event::CopyIn),
        _ => None,
    }
}

fn messages() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let tag = prop_oneof![
        Just(b'Z'),
        Just(b'C'),
        Just(b'S'),
        Just(b'A'),
        Just(b'G'),
        Just(b'D'),
        Just(b'T'),
        any::<u8>()
    ];
    // Bodies full of bytes that look like headers.
    let byte = prop_oneof![Just(b'Z'), Just(0), Just(5), Just(b'I'), any::<u8>()];
    prop::collection::vec((tag, prop::collection::vec(byte, 0..40)), 0..30)
}

proptest! {
    #[test]
    fn pieces_of_any_size_give_the_same_events(
        messages in messages(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let bytes: Vec<u8> =
            messages.iter().flat_map(|(tag, body)| message(*tag, body)).collect();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        let wanted: Vec<_> =
            messages.iter().filter_map(|(tag, body)| expected(*tag, body)).collect();
        prop_assert_eq!(events(&pieces), wanted);
    }

    #[test]
    fn bytes_that_are_no_messages_do_no_harm(pieces in prop::collection::vec(
        prop::collection::vec(any::<u8>(), 0..50), 0..20)
    ) {
        let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
        let _ = events(&pieces);
    }
}

#[test]
fn a_length_that_cannot_be_ends_all_trust() {
    let wire = Wire::default();
    let mut scanner = Scanner::new();
    scanner.feed(&message(b'Z', b"I"), |event| wire.note(event));
    assert!(wire.is_idle());
    scanner.feed(&[b'D', 0, 0, 0, 3], |event| wire.note(event));
    assert!(!wire.is_idle());
    scanner.feed(&message(b'Z', b"I"), |event| wire.note(event));
    assert!(!wire.is_idle(), "nothing is believed any more");
}

#[test]
fn only_idle_is_idle() {
    let wire = Wire::default();
    assert!(!wire.is_idle(), "nothing was said yet");
    for (status, idle) in [(b'T', false), (b'E', false), (b'I', true)] {
        wire.note(Event::Ready(status));
        assert_eq!(wire.is_idle(), idle);
    }
}

#[test]
fn traces_stay_until_forgotten() {
    let tags: [(&[u8], bool, bool); 6] = [
        (b"PREPARE\0", true, false),
        (b"PREPARE TRANSACTION\0", false, false),
        (b"DEALLOCATE\0", false, true),
        (b"DEALLOCATE ALL\0", false, true),
        (b"DISCARD ALL\0", false, true),
        (b"DISCARD TEMP\0", false, false),
    ];
    for (tag, prepared, forgotten) in tags {
        let wire = Wire::default();
        Scanner::new().feed(&message(b'C', tag), |event| wire.note(event));
        wire.note(Event::Ready(b'I'));
        assert_eq!(wire.traces().prepared(), prepared, "{tag:?}");
        assert_eq!(wire.traces().forgotten(), forgotten, "{tag:?}");
        wire.forget_traces();
        assert!(wire.traces().is_empty() && wire.is_idle());
    }
}

/// What the wire makes of messages of these kinds.
fn adrift(tags: &[u8], expected: usize) -> bool {
    let wire = Wire::default();
    (0..expected).for_each(|_| wire.expect_bare());
    let mut scanner = Scanner::new();
    for tag in tags {
        scanner.feed(&message(*tag, b"I"), |event| wire.note(event));
    }
    wire.is_adrift()
}

#[test]
fn an_end_without_an_answer_that_nobody_asked_for_is_noticed() {
    // Logging in, a query, one that fails.
    assert!(!adrift(b"RKZTDCZEZ", 0));
    assert!(adrift(b"RKZEZZ", 0));
    assert!(adrift(b"RKZEZNSAZ", 0), "what comes of itself is no answer");
    assert!(!adrift(b"RKZEZZCZ", 1));
    assert!(adrift(b"RKZEZZZ", 1), "one was asked for, and two came");
}

#[test]
fn a_server_s_role_is_read_along_and_its_change_told_and_is_no_trace_of_the_session() {
    let turned = Arc::new(Notify::new());
    let wire = Wire::telling(Arc::clone(&turned));
    let mut scanner = Scanner::new();
    let mut hears = |setting: &[u8]| {
        // In two pieces, as it may come.
        let bytes = message(b'S', setting);
        let (one, other) = bytes.split_at(bytes.len() / 2);
        scanner.feed(one, |event| wire.note(event));
        scanner.feed(other, |event| wire.note(event));
        turned.notified().now_or_never().is_some()
    };
    assert_eq!(wire.in_recovery(), None);
    assert!(!hears(b"in_hot_standby\0on\0"), "the first word is no change");
    assert_eq!(wire.in_recovery(), Some(true));
    assert!(!hears(b"in_hot_standby\0on\0"));
    assert!(hears(b"in_hot_standby\0off\0"), "promoted");
    assert_eq!(wire.in_recovery(), Some(false));
    assert!(wire.traces().is_empty());
    assert!(!hears(b"in_hot_standby_x\0on\0") && !hears(b"TimeZone\0Asia/Tokyo\0"));
    assert_eq!(wire.in_recovery(), Some(false));
    assert!(!wire.traces().is_empty(), "what a borrower sets is one");
}
