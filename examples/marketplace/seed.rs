//! The data: the same rows for the same seed and scale, loaded by COPY.
//!
//! Only times depend on the moment of seeding: they count back from it, so that
//! open auctions are open. Every user's password is [`PASSWORD`].

use std::fmt::Write as _;
use std::pin::pin;
use std::time::{Duration, UNIX_EPOCH};

use argon2::password_hash::{PasswordHasher, SaltString};
use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::Client;

use crate::error::Failure;

/// The password of every seeded user.
pub const PASSWORD: &str = "surge-ready-2026";

const BIDS_PER_AUCTION: u64 = 10;
const CHUNK: usize = 64 * 1024;

/// How many rows of each kind there are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub users: u64,
    pub auctions: u64,
    pub bids: u64,
}

impl Size {
    /// 50 000 users, 100 000 auctions and 1 000 000 bids, times `scale`.
    pub fn scaled(scale: f64) -> Self {
        // Even, because auctions share out their bids in pairs.
        let auctions = ((100_000.0 * scale) as u64 / 2 * 2).max(20);
        Self {
            users: ((50_000.0 * scale) as u64).max(10),
            auctions,
            bids: auctions * BIDS_PER_AUCTION,
        }
    }

    /// All rows but payments, whose number follows from the seed.
    pub fn rows(self) -> u64 {
        self.users + self.auctions + self.bids
    }
}

/// Ended auctions are one in ten, known by their id.
pub fn is_open(auction: u64) -> bool {
    !auction.is_multiple_of(10)
}

/// The address that user `id` signs in with.
pub fn email(id: u64) -> String {
    format!("user{id}@example.com")
}

/// Makes the schema and fills it, telling `progress` how many rows went in.
pub async fn seed(
    client: &Client,
    size: Size,
    seed: u64,
    mut progress: impl FnMut(u64),
) -> Result<(), Failure> {
    client.batch_execute(include_str!("schema.sql")).await?;
    let salt = SaltString::encode_b64(&seed.to_le_bytes()).map_err(Failure::Password)?;
    let hash = argon2::Argon2::default()
        .hash_password(PASSWORD.as_bytes(), &salt)
        .map_err(Failure::Password)?
        .to_string();

    let now: i64 = client.query_one("SELECT extract(epoch FROM now())::bigint", &[]).await?.get(0);
    let rows = Rows { size, seed, now, hash };
    let users = (1..=size.users).map(|id| rows.user(id));
    copy(client, "users (id, email, name, password_hash, created_at)", users, &mut progress)
        .await?;
    let auctions = (1..=size.auctions).map(|id| rows.auction(id));
    copy(
        client,
        "auctions (id, seller_id, title, status, start_cents, current_cents, bid_count, leader_id, created_at, ends_at)",
        auctions,
        &mut progress,
    )
    .await?;
    let bids = (1..=size.auctions).flat_map(|id| rows.bids(id));
    copy(client, "bids (auction_id, user_id, amount_cents, created_at)", bids, &mut progress)
        .await?;
    let payments = (1..=size.auctions).filter_map(|id| rows.payment(id));
    copy(
        client,
        "payments (id, auction_id, user_id, amount_cents, status, created_at)",
        payments,
        |_| (),
    )
    .await?;
    client.batch_execute(include_str!("indexes.sql")).await?;
    Ok(())
}

async fn copy(
    client: &Client,
    target: &str,
    rows: impl Iterator<Item = String>,
    mut progress: impl FnMut(u64),
) -> Result<(), Failure> {
    let sink = client.copy_in(&format!("COPY {target} FROM STDIN")).await?;
    let mut sink = pin!(sink);
    let (mut chunk, mut count) = (String::with_capacity(CHUNK + 512), 0);
    for row in rows {
        chunk.push_str(&row);
        chunk.push('\n');
        count += 1;
        if chunk.len() >= CHUNK {
            sink.send(Bytes::from(std::mem::replace(
                &mut chunk,
                String::with_capacity(CHUNK + 512),
            )))
            .await?;
            progress(std::mem::take(&mut count));
        }
    }
    sink.send(Bytes::from(chunk)).await?;
    progress(count);
    sink.finish().await?;
    Ok(())
}

struct Rows {
    size: Size,
    seed: u64,
    now: i64,
    hash: String,
}

struct Bid {
    user: u64,
    cents: u64,
    at: i64,
}

impl Rows {
    fn user(&self, id: u64) -> String {
        format!("{id}\t{}\tUser {id}\t{}\t{}", email(id), self.hash, self.ago(id % 31_536_000))
    }

    fn auction(&self, id: u64) -> String {
        let bids = self.bids_of(id);
        let start = self.start_cents(id);
        let (status, ends) = if is_open(id) {
            ("open", self.ago_signed(-(30 * 86_400 + (id % 86_400) as i64)))
        } else {
            ("ended", self.ago(3_600))
        };
        let created = self.ago(40 * 86_400 + self.draw(id, 3) % (20 * 86_400));
        let seller = 1 + self.draw(id, 4) % self.size.users;
        let title = title(self.draw(id, 5), id);
        let mut row = format!("{id}\t{seller}\t{title}\t{status}\t{start}\t");
        // Writing to a String cannot fail.
        let _ = match bids.last() {
            Some(top) => write!(row, "{}\t{}\t{}", top.cents, bids.len(), top.user),
            None => write!(row, "{start}\t0\t\\N"),
        };
        let _ = write!(row, "\t{created}\t{ends}");
        row
    }

    fn bids(&self, auction: u64) -> Vec<String> {
        let rows = self.bids_of(auction).into_iter();
        rows.map(|bid| {
            format!("{auction}\t{}\t{}\t{}", bid.user, bid.cents, self.ago_signed(bid.at))
        })
        .collect()
    }

    fn payment(&self, auction: u64) -> Option<String> {
        let top = self.bids_of(auction).pop().filter(|_| !is_open(auction))?;
        let status =
            ["paid", "paid", "paid", "pending", "failed"][(self.draw(auction, 6) % 5) as usize];
        Some(format!(
            "{auction}\t{auction}\t{}\t{}\t{status}\t{}",
            top.user,
            top.cents,
            self.ago(1_800)
        ))
    }

    /// Rising prices, oldest first. Two neighbours share twice the mean.
    fn bids_of(&self, auction: u64) -> Vec<Bid> {
        let share = self.draw(auction.div_ceil(2), 1) % (2 * BIDS_PER_AUCTION + 1);
        let count = if auction.is_multiple_of(2) { share } else { 2 * BIDS_PER_AUCTION - share };
        let mut cents = self.start_cents(auction);
        (0..count)
            .map(|nth| {
                let draw = self.draw(auction, 100 + nth);
                cents += 50 + draw % 500;
                let user = 1 + (draw >> 20) % self.size.users;
                let at = (39 * 86_400 - nth * 150_000 - (draw >> 40) % 100_000) as i64;
                Bid { user, cents, at }
            })
            .collect()
    }

    fn start_cents(&self, auction: u64) -> u64 {
        100 + self.draw(auction, 2) % 10_000
    }

    fn draw(&self, row: u64, salt: u64) -> u64 {
        mix(mix(self.seed ^ row.wrapping_mul(0x9E37_79B9_7F4A_7C15)) ^ salt)
    }

    fn ago(&self, seconds: u64) -> String {
        self.ago_signed(seconds as i64)
    }

    fn ago_signed(&self, seconds: i64) -> String {
        let epoch = u64::try_from(self.now - seconds).unwrap_or_default();
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(epoch)).to_string()
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood, 2014).
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

fn title(draw: u64, id: u64) -> String {
    const HOW: [&str; 8] =
        ["Antique", "Signed", "Rare", "Restored", "Vintage", "Boxed", "Handmade", "Mint"];
    const WHAT: [&str; 8] =
        ["clock", "camera", "football", "guitar", "poster", "typewriter", "globe", "watch"];
    let (how, what) = (HOW[(draw % 8) as usize], WHAT[(draw / 8 % 8) as usize]);
    format!("{how} {what} no. {id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(seed: u64) -> Rows {
        Rows { size: Size::scaled(0.01), seed, now: 1_700_000_000, hash: "h".into() }
    }

    #[test]
    fn the_number_of_bids_is_exact_and_the_price_is_the_highest_bid() {
        let rows = rows(7);
        let total: usize = (1..=rows.size.auctions).map(|id| rows.bids_of(id).len()).sum();
        assert_eq!(total as u64, rows.size.bids);
        for id in 1..=rows.size.auctions {
            let bids = rows.bids_of(id);
            assert!(bids.is_sorted_by(|a, b| a.cents < b.cents && a.at > b.at));
            let price: u64 = rows.auction(id).split('\t').nth(5).unwrap().parse().unwrap();
            assert_eq!(price, bids.last().map_or(rows.start_cents(id), |bid| bid.cents));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        assert_eq!(rows(7).auction(42), rows(7).auction(42));
        assert_ne!(rows(7).auction(42), rows(8).auction(42));
    }
}
