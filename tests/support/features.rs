//! The families of features that random shops and the year of real members use.

/// What can be left out of a generated shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// `at_risk` by the member's own rhythm.
    Rhythm,
    /// `at_risk` by the probability of still being a customer.
    Probability,
    /// Audiences over purchases, ages and `reachable`.
    Aggregates,
    Segments,
    Received,
    /// The occasions' files and their trigger.
    Occasions,
    /// `brand.weekend` and `brand.rest`.
    RestDays,
    /// The frequency cap of an address that several members share.
    AddressCap,
    /// `of` of an anniversary.
    AnniversaryOf,
    /// The trigger `date`.
    Dates,
    /// `from`, `items` and `categories` of `post_purchase`.
    Items,
    Collapse,
    Spread,
    Backfill,
    /// Coupons and points.
    Gifts,
}

const ON: &[Feature] = &[
    Feature::Rhythm,
    Feature::Probability,
    Feature::Aggregates,
    Feature::Segments,
    Feature::Received,
    Feature::Occasions,
    Feature::RestDays,
    Feature::AddressCap,
    Feature::AnniversaryOf,
    Feature::Dates,
    Feature::Items,
    Feature::Collapse,
    Feature::Spread,
    Feature::Backfill,
    Feature::Gifts,
];

thread_local! {
    static LEFT_OUT: std::cell::RefCell<Vec<Feature>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Feature {
    pub fn is_on(self) -> bool {
        ON.contains(&self) && !LEFT_OUT.with_borrow(|out| out.contains(&self))
    }
}

/// Makes something without some of the features.
pub fn leaving_out<T>(features: &[Feature], make: impl FnOnce() -> T) -> T {
    LEFT_OUT.set(features.to_vec());
    let made = make();
    LEFT_OUT.take();
    made
}
