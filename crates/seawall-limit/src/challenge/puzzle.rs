//! Puzzles, their solutions, and the passes that these earn.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::config::ChallengeConfig;
use super::replay::{Entry, Replay};
use super::token::{Bound, Kind, Sealer, Token};
use crate::error::{Error, in_range};

/// Issues puzzles and checks solutions and passes, without remembering what it
/// issued. Clones share everything.
///
/// A puzzle says its difficulty and when it runs out; a code (HMAC-SHA-256,
/// 128 bits) binds it to the client's address and to a scope. A solution is the
/// puzzle, a dot and a number such that SHA-256 of that text begins with as many
/// zero bits as the difficulty says. It earns a pass, once.
///
/// Times are seconds since 1970, from the caller. Nodes that share the secret
/// take each other's puzzles and passes; their clocks must agree to within what
/// may be lost of `puzzle_ttl`.
///
/// ```
/// use seawall_limit::{Challenge, ChallengeConfig, Refused, solve};
///
/// let config = ChallengeConfig { difficulty: 8, ..ChallengeConfig::default() };
/// let challenge = Challenge::new(&[7; 32], config)?; // random bytes, shared by all nodes
/// let (client, now) = (Some("192.0.2.1".parse()?), 1_800_000_000);
///
/// let puzzle = challenge.issue(client, "/api", 8, now);
/// let solution = solve(&puzzle.text, puzzle.difficulty).ok_or("unsolved")?;
/// let pass = challenge.redeem(&solution, client, "/api", now + 1)?;
/// assert!(challenge.check(&pass.text, client, "/api", now + 600).is_ok());
/// assert_eq!(challenge.redeem(&solution, client, "/api", now + 2), Err(Refused::Replayed));
/// assert_eq!(challenge.check(&pass.text, client, "/admin", now + 600), Err(Refused::Forged));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Challenge {
    inner: Arc<Inner>,
}

struct Inner {
    sealer: Sealer,
    config: ChallengeConfig,
    replay: Replay,
}

/// A puzzle for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Puzzle {
    /// What a solution begins with: 47 characters of base64url.
    pub text: String,
    /// Zero bits that the hash must begin with.
    pub difficulty: u8,
    /// When it runs out, in seconds since 1970.
    pub expires: u64,
}

/// What a solution earned.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pass {
    /// 47 characters of base64url.
    pub text: String,
    /// When it runs out, in seconds since 1970. The puzzle alone decides it, so
    /// that a solution redeemed at many nodes earns no more than at one.
    pub expires: u64,
}

/// Why a solution or a pass is not good. None is worth a retry: the client
/// needs a new puzzle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It does not have the form of a solution.
    #[error("not a solution")]
    Malformed,
    /// Nobody with the secret made it, or not for this client and scope.
    #[error("not made here, or for another client or scope")]
    Forged,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// The hash begins with too few zero bits.
    #[error("not solved")]
    Unsolved,
    /// It was redeemed before.
    #[error("already redeemed")]
    Replayed,
    /// Too many solutions were redeemed of late to tell whether this one was.
    #[error("too many solutions at once")]
    Full,
}

impl Challenge {
    /// With a secret of at least 32 random bytes. Whoever knows it needs no
    /// puzzle; changing it ends all passes.
    ///
    /// # Errors
    /// If the secret is shorter, or the configuration is out of bounds.
    pub fn new(secret: &[u8], config: ChallengeConfig) -> Result<Self, Error> {
        config.validate()?;
        in_range("secret", secret.len() as u64, 32, u64::MAX)?;
        let sealer = Sealer::new(secret).ok_or(Error::Empty { what: "a challenge", of: "key" })?;
        let replay = Replay::new(config.replay_slots);
        Ok(Self { inner: Arc::new(Inner { sealer, config, replay }) })
    }

    /// With a secret of its own, for a service that runs in one process.
    ///
    /// # Errors
    /// If the configuration is out of bounds.
    pub fn random(config: ChallengeConfig) -> Result<Self, Error> {
        Self::new(&rand::random::<[u8; 32]>(), config)
    }

    /// Makes a puzzle. Difficulties outside of what is configured are brought
    /// within. Costs one code and one random number.
    #[must_use]
    pub fn issue(&self, client: Option<IpAddr>, scope: &str, difficulty: u8, now: u64) -> Puzzle {
        let config = &self.inner.config;
        let token = Token {
            kind: Kind::Puzzle,
            difficulty: difficulty.clamp(config.difficulty, config.max_difficulty),
            expires: now.saturating_add(config.puzzle_ttl.as_secs()),
            id: rand::random(),
        };
        let text = self.inner.sealer.seal(token, Bound { client, scope });
        Puzzle { text, difficulty: token.difficulty, expires: token.expires }
    }

    /// Exchanges a solution for a pass, once.
    ///
    /// # Errors
    /// If the solution is not good, for what reason ever. Only a good one takes
    /// room in the memory of those redeemed.
    pub fn redeem(
        &self,
        solution: &str,
        client: Option<IpAddr>,
        scope: &str,
        now: u64,
    ) -> Result<Pass, Refused> {
        let (puzzle, number) = solution.split_once('.').ok_or(Refused::Malformed)?;
        let digits = (1..=20).contains(&number.len());
        if !digits || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refused::Malformed);
        }
        let bound = Bound { client, scope };
        let token = self.open(puzzle, Kind::Puzzle, bound, now)?;
        if zero_bits(solution.as_bytes()) < u32::from(token.difficulty) {
            return Err(Refused::Unsolved);
        }
        match self.inner.replay.enter(token.id, token.expires, now) {
            Entry::New => {}
            Entry::Seen => return Err(Refused::Replayed),
            Entry::Full => return Err(Refused::Full),
        }
        let expires = token.expires.saturating_add(self.inner.config.pass_ttl.as_secs());
        let pass = Token { kind: Kind::Pass, difficulty: 0, expires, id: token.id };
        Ok(Pass { text: self.inner.sealer.seal(pass, bound), expires })
    }

    /// Whether a pass is good for this client and scope.
    ///
    /// # Errors
    /// If it was not made here, is for another, or has run out.
    pub fn check(
        &self,
        pass: &str,
        client: Option<IpAddr>,
        scope: &str,
        now: u64,
    ) -> Result<(), Refused> {
        self.open(pass, Kind::Pass, Bound { client, scope }, now).map(|_| ())
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ChallengeConfig {
        &self.inner.config
    }

    fn open(&self, text: &str, kind: Kind, bound: Bound<'_>, now: u64) -> Result<Token, Refused> {
        let token = self.inner.sealer.open(text, kind, bound).ok_or(Refused::Forged)?;
        if token.expires <= now { Err(Refused::Expired) } else { Ok(token) }
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

/// Solves a puzzle: for clients written in Rust, and for tests. Takes
/// 2^difficulty hashes on average, on the caller's thread. `None` if no number
/// solves it, which does not happen.
#[must_use]
pub fn solve(puzzle: &str, difficulty: u8) -> Option<String> {
    let mut begun = Sha256::new();
    begun.update(puzzle.as_bytes());
    begun.update(b".");
    (0..u64::MAX).find_map(|number| {
        let digits = number.to_string();
        let mut hash = begun.clone();
        hash.update(digits.as_bytes());
        let solved = leading_zeros(&hash.finalize()) >= u32::from(difficulty);
        solved.then(|| format!("{puzzle}.{digits}"))
    })
}

fn zero_bits(text: &[u8]) -> u32 {
    leading_zeros(&Sha256::digest(text))
}

fn leading_zeros(hash: &[u8]) -> u32 {
    let zeros = hash.iter().take_while(|byte| **byte == 0).count();
    // 256 bits, so neither number is large.
    zeros as u32 * 8 + hash.get(zeros).map_or(0, |byte| byte.leading_zeros())
}

#[cfg(test)]
mod tests;
