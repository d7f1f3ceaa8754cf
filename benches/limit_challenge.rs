//! What do puzzles and passes cost the server?
#![expect(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

use std::hint::black_box;

use bench_harness::{Bench, Role, Subject};
use hmac::{Hmac, Mac as _};
use seawall_limit::{Challenge, ChallengeConfig, solve};
use sha2::Sha256;

const NOW: u64 = 1_800_000_000;

fn main() -> std::io::Result<()> {
    let mut bench = Bench::new("limit_challenge");
    let config = ChallengeConfig { difficulty: 8, ..ChallengeConfig::default() };
    let challenge = Challenge::new(&[7; 32], config).unwrap();
    let client = Some([192, 0, 2, 1].into());
    let puzzle = challenge.issue(client, "/api", 8, NOW);
    let solution = solve(&puzzle.text, puzzle.difficulty).unwrap();
    let pass = challenge.redeem(&solution, client, "/api", NOW).unwrap().text;
    let forged = format!("{}A.1", "A".repeat(46));
    let keyed = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();

    bench.case(
        "one call",
        vec![
            Subject::new("check a pass", Role::Ours, |times| {
                for _ in 0..times {
                    black_box(challenge.check(black_box(&pass), client, "/api", NOW)).unwrap();
                }
            }),
            Subject::new("issue a puzzle", Role::Ours, |times| {
                for _ in 0..times {
                    black_box(challenge.issue(client, "/api", 16, NOW));
                }
            }),
            Subject::new("refuse a forged solution", Role::Ours, |times| {
                for _ in 0..times {
                    let _ = black_box(challenge.redeem(black_box(&forged), client, "/api", NOW));
                }
            }),
            Subject::new("refuse a solution used before", Role::Ours, |times| {
                for _ in 0..times {
                    let _ = black_box(challenge.redeem(black_box(&solution), client, "/api", NOW));
                }
            }),
            Subject::new("HMAC-SHA-256 of 57 bytes", Role::Floor, |times| {
                for _ in 0..times {
                    let mut mac = keyed.clone();
                    mac.update(black_box(&[3; 57]));
                    black_box(mac.finalize());
                }
            }),
        ],
    );
    bench.finish()
}
