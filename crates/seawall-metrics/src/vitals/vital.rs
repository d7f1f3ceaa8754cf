/// One of the web vitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vital {
    Lcp,
    Inp,
    Cls,
    Ttfb,
    Fcp,
}

/// How good a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rating {
    Good,
    NeedsImprovement,
    Poor,
}

impl Vital {
    pub(super) const ALL: [Self; 5] = [Self::Lcp, Self::Inp, Self::Cls, Self::Ttfb, Self::Fcp];

    /// As the script writes it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Lcp => "LCP",
            Self::Inp => "INP",
            Self::Cls => "CLS",
            Self::Ttfb => "TTFB",
            Self::Fcp => "FCP",
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Lcp => "lcp",
            Self::Inp => "inp",
            Self::Cls => "cls",
            Self::Ttfb => "ttfb",
            Self::Fcp => "fcp",
        }
    }

    pub(super) fn metric(self) -> &'static str {
        match self {
            Self::Lcp => "web_vitals_lcp_seconds",
            Self::Inp => "web_vitals_inp_seconds",
            Self::Cls => "web_vitals_cls_score",
            Self::Ttfb => "web_vitals_ttfb_seconds",
            Self::Fcp => "web_vitals_fcp_seconds",
        }
    }

    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Lcp => "Largest Contentful Paint, as browsers measured it.",
            Self::Inp => "Interaction to Next Paint, as browsers measured it.",
            Self::Cls => "Cumulative Layout Shift, as browsers measured it.",
            Self::Ttfb => "Time to First Byte, as browsers measured it.",
            Self::Fcp => "First Contentful Paint, as browsers measured it.",
        }
    }

    /// What is measured in time comes in milliseconds and is kept in seconds.
    pub(super) fn base(self, value: f64) -> f64 {
        if self == Self::Cls { value } else { value / 1000.0 }
    }

    /// The largest value that a page can have, as posted: ten minutes, or a
    /// hundred screens.
    pub(super) fn most(self) -> f64 {
        if self == Self::Cls { 100.0 } else { 600_000.0 }
    }

    /// By Google's thresholds, as posted (web.dev/articles/vitals): up to the
    /// first is good, above the second is poor.
    pub(super) fn rating(self, value: f64) -> Rating {
        let (good, poor) = match self {
            Self::Lcp => (2500.0, 4000.0),
            Self::Inp => (200.0, 500.0),
            Self::Cls => (0.1, 0.25),
            Self::Ttfb => (800.0, 1800.0),
            Self::Fcp => (1800.0, 3000.0),
        };
        if value <= good {
            Rating::Good
        } else if value <= poor {
            Rating::NeedsImprovement
        } else {
            Rating::Poor
        }
    }
}

impl Rating {
    pub(super) const ALL: [Self; 3] = [Self::Good, Self::NeedsImprovement, Self::Poor];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NeedsImprovement => "needs-improvement",
            Self::Poor => "poor",
        }
    }
}
