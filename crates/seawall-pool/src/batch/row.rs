//! Rows of a batch: tuples, turned into arrays by column or written one by one.

use tokio_postgres::types::ToSql;

/// A row for [`InChunks`](crate::InChunks): a tuple of one to twelve values, `Option`s
/// where a column may be null.
pub trait BatchRow: Send + Sync + sealed::Sealed {
    /// How many columns it has.
    const COLUMNS: usize;
    /// The values by column.
    type Columns: Default + Send + Sync;

    /// Adds the row's values to their columns.
    fn spread(self, columns: &mut Self::Columns);

    /// The columns as parameters, each an array.
    fn arrays(columns: &Self::Columns) -> Vec<&(dyn ToSql + Sync)>;

    /// The row's values.
    fn values(&self) -> Vec<&(dyn ToSql + Sync)>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! tuples {
    ($(($($value:ident $at:tt),+))+) => {$(
        impl<$($value: ToSql + Send + Sync),+> sealed::Sealed for ($($value,)+) {}

        impl<$($value: ToSql + Send + Sync),+> BatchRow for ($($value,)+) {
            const COLUMNS: usize = [$($at),+].len();
            type Columns = ($(Vec<$value>,)+);

            fn spread(self, columns: &mut Self::Columns) {
                $(columns.$at.push(self.$at);)+
            }

            fn arrays(columns: &Self::Columns) -> Vec<&(dyn ToSql + Sync)> {
                vec![$(&columns.$at),+]
            }

            fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
                vec![$(&self.$at),+]
            }
        }
    )+};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11)
}
