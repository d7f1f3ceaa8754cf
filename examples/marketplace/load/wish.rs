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
        Ok(Self { random, popularity, size, sessions: sessions.max(1) })
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
        // A prime step scatters the popular ones over the table.
        1 + (rank * 1_000_003) % self.size.auctions
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
}
