//! Nodes that answer in pieces, late, with errors, or go; callers that leave.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::super::resp;
use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The worst that could happen: that an answer goes to whom it is not for.
    #[test]
    fn no_answer_is_anothers_whatever_comes_and_whoever_leaves(
        seed in any::<u64>(),
        clustered in any::<bool>(),
        ends in prop_oneof![Just(Ends::Never), Just(Ends::Closes), Just(Ends::Garbles)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(one_life(seed, clustered, ends));
    }

    #[test]
    fn a_value_is_the_same_however_it_was_cut(
        values in prop::collection::vec(value(), 0..8),
        cuts in prop::collection::vec(1..9_000_usize, 1..6),
    ) {
        let text: Vec<u8> = values.iter().flat_map(written).collect();
        prop_assert_eq!(parsed(&text, &cuts), (values, false, 0));
    }

    #[test]
    fn what_is_no_answer_is_none_however_it_was_cut(
        text in "[$*+\\-:0-9a\r\n]{0,24}",
        cuts in prop::collection::vec(1..5_usize, 1..6),
    ) {
        let whole = parsed(text.as_bytes(), &[usize::MAX]);
        let (values, garbled, _) = parsed(text.as_bytes(), &cuts);
        prop_assert_eq!((values, garbled), (whole.0, whole.1));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Never,
    Closes,
    Garbles,
}

/// Sixty questions to a node that answers in pieces, asked by callers of whom some leave and some
/// have no patience.
async fn one_life(seed: u64, clustered: bool, ends: Ends) {
    let mut scene = Scene::new(clustered, 1_000).await;
    let reads = Arc::clone(&scene.reads);
    let mut callers = tokio::spawn(async move { callers(&reads, seed).await });
    let mut dice = StdRng::seed_from_u64(!seed);
    // The end comes in the middle of an answer.
    let mut left = if ends == Ends::Never { usize::MAX } else { dice.random_range(0..20) };
    loop {
        let command = tokio::select! {
            command = scene.command() => command,
            checked = &mut callers => return checked.expect("each got its own"),
        };
        let answer = answer(&command, &mut dice);
        let most = if left == 0 { dice.random_range(0..answer.len()) } else { answer.len() };
        let mut rest = &answer.as_bytes()[..most];
        while !rest.is_empty() {
            let size =
                dice.random_range(1..=rest.len().min(if answer.len() < 99 { 9 } else { 9_999 }));
            scene.node.write_all(&rest[..size]).await.expect("up");
            rest = &rest[size..];
            if dice.random_ratio(1, 3) {
                yield_now().await;
            }
        }
        if left == 0 {
            if ends == Ends::Garbles {
                // More than any value: none can end in it as it should.
                let _ = scene.node.write_all(&[b'!'; 40_000]).await;
                let _ = scene.node.write_all(b"\r\n").await;
            }
            break;
        }
        left -= 1;
    }
    drop(scene.node);
    callers.await.expect("each got its own, or none");
}

/// Whoever gets a value gets that of his key.
async fn callers(reads: &Arc<Reads>, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut asks = Vec::new();
    for number in 0..60 {
        let kind = ["short", "none", "empty", "long"][dice.random_range(0..4)];
        let key = format!("{kind}:{number}");
        let patience =
            if dice.random_ratio(1, 5) { dice.random_range(0..3_000) } else { 30_000_000 };
        let until = Instant::now() + Duration::from_micros(patience);
        let (reads, asked) = (Arc::clone(reads), Bytes::from(key.clone()));
        let ask = tokio::spawn(async move { reads.ask(asked, until).await });
        if dice.random_ratio(1, 6) {
            ask.abort();
        }
        asks.push((key, ask));
        if dice.random_ratio(1, 4) {
            yield_now().await;
        }
        if dice.random_ratio(1, 8)
            && let Some((_, ask)) = asks.get(dice.random_range(0..asks.len()))
        {
            ask.abort();
        }
    }
    for (key, ask) in asks {
        match timeout(PATIENCE, ask).await.expect("it is told, or was cancelled") {
            Ok(Ok(value)) => assert_eq!(value, expected(&key), "{key}"),
            Ok(Err(error)) => assert!(
                error.details().starts_with("ERR")
                    || [ErrorKind::IO, ErrorKind::Timeout].contains(error.kind()),
                "{error:?}"
            ),
            Err(left) => assert!(left.is_cancelled(), "{left}"),
        }
    }
}

fn expected(key: &str) -> Option<Bytes> {
    match key.split_once(':')?.0 {
        "none" => None,
        "empty" => Some(Bytes::new()),
        "long" => Some(Bytes::from(key.repeat(3_000))),
        _ => Some(Bytes::from(key.to_owned())),
    }
}

/// What the node says: now and then that there was an error.
fn answer(command: &[String], dice: &mut StdRng) -> String {
    let (name, keys) = command.split_first().expect("a name");
    if dice.random_ratio(1, 10) {
        return "-ERR not now\r\n".to_owned();
    }
    let mut text = if name == "MGET" { format!("*{}\r\n", keys.len()) } else { String::new() };
    for key in keys {
        match expected(key) {
            Some(value) => text += &bulk(&String::from_utf8_lossy(&value)),
            None => text += "$-1\r\n",
        }
    }
    text
}

type Value = Result<Option<Bytes>, String>;

fn value() -> impl Strategy<Value = Value> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        // Around the size from which on a value shares what it was read into.
        (16_380..16_390_usize, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
        Just(b"\r\n$-1\r\n".to_vec()),
    ];
    prop_oneof![
        bytes.prop_map(|bytes| Ok(Some(Bytes::from(bytes)))),
        Just(Ok(None)),
        "[A-Z]{3,8} [a-z0-9.:]{0,20}".prop_map(Err),
    ]
}

fn written(value: &Value) -> Vec<u8> {
    match value {
        Ok(Some(bytes)) => [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
        Ok(None) => b"$-1\r\n".to_vec(),
        Err(text) => format!("-{text}\r\n").into_bytes(),
    }
}

/// The values of `text` as it comes in pieces of those sizes, by turns; whether something was none,
/// and how many bytes were left.
fn parsed(mut text: &[u8], cuts: &[usize]) -> (Vec<Value>, bool, usize) {
    let (mut input, mut values) = (BytesMut::new(), Vec::new());
    for cut in cuts.iter().cycle() {
        let (piece, rest) = text.split_at(text.len().min(*cut));
        input.extend_from_slice(piece);
        text = rest;
        loop {
            match resp::value(&mut input) {
                Ok(Some(value)) => values.push(value.map_err(|it| it.details().to_owned())),
                Ok(None) => break,
                Err(resp::Garbled) => return (values, true, input.len()),
            }
        }
        if text.is_empty() {
            break;
        }
    }
    (values, false, input.len())
}

#[tokio::test]
async fn what_comes_unasked_ends_it_before_anyone_asks() {
    for unasked in ["$1\r\nx\r\n", "$-1\r\n", "+PONG\r\n", "*0\r\n", "\r\n", "$"] {
        let mut scene = Scene::new(false, 100).await;
        scene.say(unasked).await;
        assert!(matches!(scene.end().await, End::Garbled), "{unasked:?}");
    }
}

#[tokio::test]
async fn what_comes_beyond_the_answer_ends_it() {
    let mut scene = Scene::new(false, 100).await;
    let ask = scene.ask("a");
    scene.command().await;
    scene.say(&[bulk("a"), bulk("b")].concat()).await;
    assert_eq!(text(ask).await, is("a"), "as far as it can be told");
    let after = scene.ask("c");
    assert_eq!(text(after).await, Err(lost().details().to_owned()));
    assert!(matches!(scene.end().await, End::Garbled));
}

/// Asked while the node takes nothing and the sockets are full: nobody takes the question.
#[tokio::test]
async fn who_waits_to_be_sent_is_told_at_its_time_too() {
    let scene = Scene::with(false, 10_000, Duration::from_secs(3_600)).await;
    let brief = Duration::from_millis(20);
    let key = |number| format!("{number:04096}");
    let asks: Vec<_> = (0..2_000).map(|number| scene.ask_within(&key(number), brief)).collect();
    for ask in asks {
        assert_eq!(text(ask).await, Err(late().details().to_owned()));
    }
    let after = scene.ask_within(&key(0), brief);
    assert_eq!(text(after).await, Err(late().details().to_owned()));
}
