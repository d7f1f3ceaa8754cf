//! What the next user wants: about nine reads to one write, the popular first.

use rand::Rng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Zipf};

use crate::error::Failure;
use crate::seed::{Size, is_open};

/// One user's intention, drawn before it is sent so that a run repeats by its seed.
#[derive(Clone, Copy, Debug)]
pub enum Wish {
    Read {
        auction: u64,
    },
    List {
        page: u64,
        status: &'static str,
    },
    Top,
    MyBids {
        session: usize,
    },
    /// Outbids the price last seen by `raise` cents; `audit` also reads the user's own bids back.
    Bid {
        auction: u64,
        session: usize,
        raise: u64,
        audit: bool,
    },
    Login {
        user: u64,
    },
    /// A script that bids as fast as it can, from one of few addresses.
    ScriptedBid {
        auction: u64,
        session: usize,
        script: u8,
    },
    /// A script that guesses passwords, from one address.
    GuessedLogin {
        user: u64,
    },
}

/// Draws wishes and the addresses they come from.
#[derive(Debug)]
pub struct Wishes {
    random: StdRng,
    popularity: Zipf<f64>,
    size: Size,
    sessions: usize,
    /// Turns ranks into numbers that are spread over the table.
    step: u64,
}

/// Zipf exponent of the popularity of auctions, the usual one for web objects.
const EXPONENT: f64 = 0.99;
/// How many addresses the honest users come from.
const ADDRESSES: u32 = 5_000;

impl Wishes {
    /// `sessions` is how many users are signed in.
    pub fn new(size: Size, sessions: usize, random: StdRng) -> Result<Self, Failure> {
        let popularity = Zipf::new(size.auctions as f64, EXPONENT).map_err(|_| Failure::Load {
            what: "the popularity of auctions needs at least one auction",
        })?;
        let step = coprime_step(size.auctions);
        Ok(Self { random, popularity, size, sessions: sessions.max(1), step })
    }

    /// The next wish, in shares of a thousand.
    pub fn draw(&mut self) -> Wish {
        let share = self.random.random_range(0..1_000);
        match share {
            0..490 => Wish::Read { auction: self.auction() },
            490..780 => Wish::List {
                // Most look at the first page only.
                page: 1 + self.random.random_range(0..20_u64).saturating_sub(15),
                status: if self.random.random_range(0..10) == 0 { "ended" } else { "open" },
            },
            780..830 => Wish::Top,
            830..880 => Wish::MyBids { session: self.session() },
            880..982 => Wish::Bid {
                auction: self.open_auction(),
                session: self.session(),
                raise: self.random.random_range(50..550),
                audit: self.random.random_range(0..4) == 0,
            },
            982..986 => Wish::Login { user: self.user() },
            986..996 => Wish::ScriptedBid {
                auction: self.open_auction(),
                session: self.session(),
                script: self.random.random_range(0..2),
            },
            _ => Wish::GuessedLogin { user: self.user() },
        }
    }

    /// The address of an honest user.
    pub fn address(&mut self) -> String {
        let number = self.random.random_range(0..ADDRESSES);
        format!("10.1.{}.{}", number / 250, 1 + number % 250)
    }

    fn auction(&mut self) -> u64 {
        let rank = self.popularity.sample(&mut self.random) as u64;
        1 + (rank * self.step) % self.size.auctions
    }

    fn open_auction(&mut self) -> u64 {
        let auction = self.auction();
        if is_open(auction) { auction } else { auction - 1 }
    }

    fn session(&mut self) -> usize {
        self.random.random_range(0..self.sessions)
    }

    fn user(&mut self) -> u64 {
        self.random.random_range(1..=self.size.users)
    }
}

/// A step near the golden section of `count` that visits every number once, so that
/// the popular rows do not lie side by side on the same pages.
fn coprime_step(count: u64) -> u64 {
    let gcd = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let golden = (count as f64 * 0.618).ceil() as u64;
    (golden..golden + count).find(|&step| gcd(step, count) == 1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn there_are_about_nine_reads_to_one_write_and_some_auctions_are_popular() {
        let mut wishes = Wishes::new(Size::scaled(0.1), 8, StdRng::seed_from_u64(1)).unwrap();
        let (mut writes, mut counts) = (0, std::collections::HashMap::new());
        for _ in 0..20_000 {
            match wishes.draw() {
                Wish::Bid { auction, .. } => {
                    assert!(is_open(auction));
                    writes += 1;
                }
                Wish::Read { auction } => *counts.entry(auction).or_insert(0) += 1,
                _ => {}
            }
        }
        assert!((1_800..2_300).contains(&writes), "{writes}");
        assert!(counts.values().max() > Some(&500), "{:?}", counts.values().max());
    }

    #[test]
    fn popular_auctions_lie_apart_and_each_number_is_some_rank() {
        for count in [20, 2_000, 100_000, 1_000_003] {
            let step = coprime_step(count);
            let numbers: std::collections::HashSet<u64> =
                (1..=count).map(|rank| (rank * step) % count).collect();
            assert_eq!(numbers.len() as u64, count);
            assert!(step > count / 10 && step < count, "{step} of {count}");
        }
    }
}
