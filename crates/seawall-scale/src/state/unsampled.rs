/// Names of instances that gave no sample; bounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Unsampled(pub(super) Vec<String>);

impl Unsampled {
    pub(super) fn of<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Self {
        let cut = |name: T| {
            let name = name.as_ref();
            name[..name.floor_char_boundary(LONGEST)].to_owned()
        };
        Self(names.into_iter().take(MOST).map(cut).collect())
    }

    #[cfg(feature = "log")]
    pub(crate) fn all(&self) -> &[String] {
        &self.0
    }

    /// The names, if they can be those of so many: more are of another moment.
    pub(crate) fn of_these(&self, missing: u32) -> &[String] {
        if self.0.len() <= missing as usize { &self.0 } else { &[] }
    }
}

/// Enough to look into; a reason is read by people.
const MOST: usize = 32;

/// As long as the name of a pod may be.
const LONGEST: usize = 253;
