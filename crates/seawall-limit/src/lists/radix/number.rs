//! What tables are made of: numbers of three widths.

/// A number, and the part of it that leaves keep.
pub(crate) trait Number: Copy + Ord {
    /// Told apart within one page, the numbers that agree in all bits above.
    type Low: Copy + Ord;
    const LOW_BITS: u32;
    /// The greatest, and without an end.
    const MOST: Self::Low;
    const BITS: u32;
    /// Slots for as many numbers as a leaf has room for; more, the more they cluster.
    const SLOTS: usize;
    /// Whether leaves keep how far what begins at a number goes.
    const SPANS: bool;
    /// What leaves are searched with: not below the mark of the same number.
    fn low(self) -> Self::Low;
    /// What a leaf keeps of a start that holds for `2^span` numbers; 63: up to the next start.
    fn mark(self, span: u8) -> Self::Low;
    /// Whether `low` is in the span of a mark that is not above it.
    fn spans(mark: Self::Low, low: Self::Low) -> bool;
    fn wide(self) -> u128;
    /// Of the bits of a wide one.
    fn narrow(wide: u128) -> Self;
    /// Which slot of a table that begins at `base` it is in: 0 is below it.
    fn slot(self, base: Self, shift: u32) -> usize;
}

macro_rules! number {
    ($number:ty, $low:ty, $low_bits:expr, $slots:literal, $($spans:tt)*) => {
        impl Number for $number {
            type Low = $low;
            const LOW_BITS: u32 = $low_bits;
            const MOST: $low = <$low>::MAX;
            const BITS: u32 = Self::BITS;
            const SLOTS: usize = $slots;
            $($spans)*

            fn wide(self) -> u128 {
                self.into()
            }

            fn narrow(wide: u128) -> Self {
                wide as Self
            }

            #[inline]
            fn slot(self, base: Self, shift: u32) -> usize {
                match self.checked_sub(base) {
                    Some(past) => {
                        usize::try_from(past >> shift).unwrap_or(usize::MAX).saturating_add(1)
                    }
                    None => 0,
                }
            }
        }
    };
    ($number:ty, $low:ty, $slots:literal) => {
        number! { $number, $low, <$low>::BITS, $slots,
            const SPANS: bool = false;

            #[inline]
            fn low(self) -> $low {
                self as $low
            }

            fn mark(self, _: u8) -> $low {
                self as $low
            }

            #[inline]
            fn spans(_: $low, _: $low) -> bool {
                true
            }
        }
    };
}

number!(u32, u16, 3);
// Hosts, each of which is two numbers.
number!(u128, u128, 6);
// The part of 48 bits, above that of the span, of which 16 are more than enough.
number! { u64, u64, 48, 6,
    const SPANS: bool = true;

    #[inline]
    fn low(self) -> u64 {
        self << 16 | 0xffff
    }

    fn mark(self, span: u8) -> u64 {
        self << 16 | u64::from(span)
    }

    #[inline]
    fn spans(mark: u64, low: u64) -> bool {
        low.wrapping_sub(mark) >> 16 >> (mark & 63) == 0
    }
}
