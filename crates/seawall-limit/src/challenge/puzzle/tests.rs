use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_800_000_000;

fn challenge() -> Challenge {
    let config = ChallengeConfig { difficulty: 6, ..ChallengeConfig::default() };
    Challenge::new(&[7; 32], config).unwrap()
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn solved(challenge: &Challenge, client: Option<IpAddr>, scope: &str) -> String {
    let puzzle = challenge.issue(client, scope, 6, NOW);
    solve(&puzzle.text, puzzle.difficulty).unwrap()
}

#[test]
fn a_solution_of_another_client_scope_or_service_earns_nothing() {
    let challenge = challenge();
    let solution = solved(&challenge, ip("1.1.1.1"), "/api");
    for (client, scope) in [
        (ip("1.1.1.2"), "/api"),
        (ip("::101:101"), "/api"),
        (None, "/api"),
        (ip("1.1.1.1"), "/"),
        (ip("1.1.1.1"), "/api/"),
        (ip("1.1.1.1"), ""),
    ] {
        let redeemed = challenge.redeem(&solution, client, scope, NOW);
        assert_eq!(redeemed, Err(Refused::Forged), "{client:?} {scope}");
    }
    let other = Challenge::new(&[8; 32], challenge.config().clone()).unwrap();
    assert_eq!(other.redeem(&solution, ip("1.1.1.1"), "/api", NOW), Err(Refused::Forged));
    assert!(challenge.redeem(&solution, ip("1.1.1.1"), "/api", NOW).is_ok());
}

#[test]
fn a_solution_counts_once_and_only_while_its_puzzle_lasts() {
    let challenge = challenge();
    let late = solved(&challenge, None, "/");
    assert_eq!(challenge.redeem(&late, None, "/", NOW + 120), Err(Refused::Expired));
    assert!(challenge.redeem(&late, None, "/", NOW + 119).is_ok());
    assert_eq!(challenge.redeem(&late, None, "/", NOW + 119), Err(Refused::Replayed));
    // Even if the clock goes back.
    assert_eq!(challenge.redeem(&late, None, "/", NOW - 1_000), Err(Refused::Replayed));
}

#[test]
fn a_puzzle_is_no_pass_and_a_pass_no_puzzle() {
    let challenge = challenge();
    let solution = solved(&challenge, None, "/");
    let puzzle = solution.split_once('.').unwrap().0;
    assert_eq!(challenge.check(puzzle, None, "/", NOW), Err(Refused::Forged));
    let pass = challenge.redeem(&solution, None, "/", NOW).unwrap();
    let solved_pass = solve(&pass.text, 6).unwrap();
    assert_eq!(challenge.redeem(&solved_pass, None, "/", NOW), Err(Refused::Forged));
}

#[test]
fn a_pass_ends_when_its_puzzle_says_at_whatever_node_and_time_it_was_earned() {
    let [one, other] = [challenge(), challenge()];
    let solution = solved(&one, None, "/");
    let first = one.redeem(&solution, None, "/", NOW).unwrap();
    let second = other.redeem(&solution, None, "/", NOW + 100).unwrap();
    assert_eq!(first, second);
    assert!(other.check(&first.text, None, "/", NOW + 719).is_ok());
    assert_eq!(other.check(&first.text, None, "/", NOW + 720), Err(Refused::Expired));
}

#[test]
fn work_that_is_a_bit_short_is_no_solution() {
    let challenge = challenge();
    let puzzle = challenge.issue(None, "/", 6, NOW);
    let short = (0_u64..)
        .map(|number| format!("{}.{number}", puzzle.text))
        .find(|text| zero_bits(text.as_bytes()) == 5)
        .unwrap();
    assert_eq!(challenge.redeem(&short, None, "/", NOW), Err(Refused::Unsolved));
}

#[test]
fn a_client_cannot_lower_the_difficulty() {
    let challenge = challenge();
    assert_eq!(challenge.issue(None, "/", 0, NOW).difficulty, 6);
    assert_eq!(challenge.issue(None, "/", 99, NOW).difficulty, 20);
    let puzzle = challenge.issue(None, "/", 20, NOW);
    let lazy = solve(&puzzle.text, 1).unwrap();
    assert_eq!(challenge.redeem(&lazy, None, "/", NOW), Err(Refused::Unsolved));
}

#[test]
fn any_flipped_bit_is_noticed() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let challenge = challenge();
    let solution = solved(&challenge, None, "/");
    let pass = challenge.redeem(&solution, None, "/", NOW).unwrap().text;
    let bytes = URL_SAFE_NO_PAD.decode(&pass).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let forged = URL_SAFE_NO_PAD.encode(forged);
        assert_eq!(challenge.check(&forged, None, "/", NOW), Err(Refused::Forged), "bit {bit}");
    }
}

#[test]
fn a_short_secret_and_bounds_crossed_are_refused() {
    let build = |secret: &[u8], config| Challenge::new(secret, config).map(|_| ());
    let field = |result: Result<(), Error>| match result {
        Err(Error::OutOfRange { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let default = ChallengeConfig::default;
    assert_eq!(field(build(&[0; 31], default())), "secret");
    assert_eq!(
        field(build(&[0; 32], ChallengeConfig { difficulty: 0, ..default() })),
        "difficulty"
    );
    assert_eq!(
        field(build(&[0; 32], ChallengeConfig { max_difficulty: 15, ..default() })),
        "max_difficulty"
    );
    assert_eq!(
        field(build(&[0; 32], ChallengeConfig { overall: Some(0), ..default() })),
        "overall"
    );
    assert!(!format!("{:?}", challenge()).contains('7'), "the secret is printed");
}

proptest! {
    #[test]
    fn no_text_is_taken_for_a_solution_or_a_pass(text in "[A-Za-z0-9_.=-]{0,80}|\\PC{0,60}") {
        let challenge = challenge();
        prop_assert!(challenge.redeem(&text, None, "/", NOW).is_err());
        prop_assert!(challenge.check(&text, None, "/", NOW).is_err());
    }

    #[test]
    fn changed_solutions_are_not_taken(at in 0..47_usize, to in "[A-Za-z0-9_-]") {
        let challenge = challenge();
        let solution = solved(&challenge, None, "/");
        let mut changed = solution.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != solution);
        prop_assert!(challenge.redeem(&changed, None, "/", NOW).is_err());
    }
}
