use crate::error::Error;

/// A HyperLogLog: how many different things there were, in 2^`precision` bytes.
///
/// Flajolet, Fusy, Gandouet, Meunier: "HyperLogLog: the analysis of a
/// near-optimal cardinality estimation algorithm" (2007), with 64-bit hashes,
/// and the estimator of Ertl: "New cardinality estimation algorithms for
/// HyperLogLog sketches" (2017), algorithm 6, which needs no correction tables
/// and has no bump where small counts end. The standard error is
/// 1.04 / sqrt(2^precision): 1.6 % at 12, 0.8 % at 14. Two thirds of all
/// estimates are within one of these, 99.7 % within three.
///
/// Sketches of one precision merge without loss: the union counts what either
/// has seen, once. Things are told apart by a hash that is the same on every
/// node and in every version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    registers: Box<[u8]>,
}

impl Sketch {
    pub(super) fn empty(precision: u8) -> Self {
        Self { registers: vec![0; 1 << precision].into() }
    }

    /// Reads what [`as_bytes`](Self::as_bytes) gave, on whichever node.
    ///
    /// # Errors
    /// [`Error::Config`] if these are no registers of a sketch.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let precision = bytes.len().checked_ilog2().unwrap_or(0);
        let fits = bytes.len().is_power_of_two() && (4..=16).contains(&precision);
        if !fits {
            return Err(Error::config(
                "sketch bytes",
                bytes.len() as f64,
                "a power of 2, 16 to 65536",
            ));
        }
        let most = 65 - precision as u8;
        if let Some(register) = bytes.iter().find(|register| **register > most) {
            return Err(Error::config("sketch register", f64::from(*register), "a rank"));
        }
        Ok(Self { registers: bytes.into() })
    }

    /// The registers: to send to another node.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.registers
    }

    /// Adds what `other` has seen.
    ///
    /// # Errors
    /// [`Error::Config`] if the precisions differ; nothing is changed.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if self.registers.len() != other.registers.len() {
            let bytes = other.registers.len() as f64;
            return Err(Error::config("sketch bytes", bytes, "as many as the other has"));
        }
        self.take(other.registers.iter().copied());
        Ok(())
    }

    /// How many different things were seen, roughly.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        let m = self.registers.len() as f64;
        let q = 64 - self.registers.len().ilog2() as usize;
        // How many registers hold each rank.
        let mut counts = [0_u32; 66];
        for register in &self.registers {
            if let Some(count) = counts.get_mut(usize::from(*register)) {
                *count += 1;
            }
        }
        let count = |rank: usize| f64::from(counts.get(rank).copied().unwrap_or(0));
        let mut z = m * tau(1.0 - count(q + 1) / m);
        for rank in (1..=q).rev() {
            z = 0.5 * (z + count(rank));
        }
        z += m * sigma(count(0) / m);
        // alpha at infinity: 1 / (2 ln 2).
        m * m / (2.0 * std::f64::consts::LN_2 * z)
    }

    #[cfg(test)]
    pub(super) fn put(&mut self, register: usize, rank: u8) {
        self.registers[register] = self.registers[register].max(rank);
    }

    pub(super) fn take(&mut self, registers: impl Iterator<Item = u8>) {
        for (own, other) in self.registers.iter_mut().zip(registers) {
            *own = (*own).max(other);
        }
    }
}

/// The register of a hash and the rank it has there.
pub(super) fn place(hash: u64, precision: u8) -> (usize, u8) {
    let register = (hash >> (64 - precision)) as usize;
    // A sentinel behind the bits that are left bounds the rank.
    let rest = (hash << precision) | (1 << (precision - 1));
    (register, rest.leading_zeros() as u8 + 1)
}

/// FNV-1a over the bytes, then the finaliser of MurmurHash3, which spreads what
/// FNV leaves in the low bits: all bits count for a rank.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    let mut h = fnv;
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

/// Ertl 2017, section 4.2: the share of registers that are empty.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// Ertl 2017, section 4.2: the share of registers that are full.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
