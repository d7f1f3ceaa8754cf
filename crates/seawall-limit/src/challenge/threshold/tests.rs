use super::*;

fn threshold(per_client: Option<u32>, overall: Option<u32>) -> Threshold {
    let config = ChallengeConfig { per_client, overall, ..ChallengeConfig::default() };
    Threshold::new(&config).unwrap()
}

fn ip(last: u8) -> Option<IpAddr> {
    Some([192, 0, 2, last].into())
}

#[tokio::test(start_paused = true)]
async fn a_client_above_its_rate_is_held_and_others_are_not() {
    let threshold = threshold(Some(10), None);
    let ask = |last| threshold.passed(ip(last), Instant::now());
    assert!((0..10).all(|_| ask(1).is_none()));
    assert_eq!(ask(1), Some(0));
    assert_eq!(ask(2), None);
    // Units come back, but the client is held.
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(ask(1), Some(0));
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(ask(1), None);
}

#[tokio::test(start_paused = true)]
async fn all_are_held_while_all_together_ask_too_much_and_a_while_after() {
    let threshold = threshold(None, Some(600));
    let ask = || threshold.passed(ip(1), Instant::now());
    assert!((0..10).all(|_| ask().is_none()));
    assert_eq!(ask(), Some(0));
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(ask(), Some(0));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(ask(), None);
}

#[tokio::test(start_paused = true)]
async fn each_doubling_above_the_threshold_is_told() {
    let threshold = threshold(None, Some(60));
    let last = (0..9).map(|_| threshold.passed(None, Instant::now())).last();
    assert_eq!(last, Some(Some(3)));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(threshold.passed(None, Instant::now()), Some(3));
    assert_eq!(threshold.pressure(), 3);
}
