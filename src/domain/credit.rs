//! To which message an order is credited: the last touch before it. That says what members did, not what the message
//! caused; [`super::experiment`] does.

use uuid::Uuid;

/// A click on a message's link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Click {
    pub message: Uuid,
    /// In epoch milliseconds, as all here.
    pub at: i64,
    /// So long after it orders count, as its campaign's goal says.
    pub within: i64,
    /// At least so much, in minor units.
    pub min_amount: i64,
}

/// The message that an order is credited to: the one whose gift's code was used in it, else the one that was clicked
/// last before it, in its campaign's time, if the order is worth its campaign's least.
pub fn credited(at: i64, amount: i64, by_code: Option<Uuid>, clicks: &[Click]) -> Option<Uuid> {
    let counts = |click: &&Click| click.at <= at && at - click.at <= click.within && amount >= click.min_amount;
    by_code.or_else(|| {
        clicks.iter().filter(counts).max_by_key(|click| (click.at, click.message)).map(|click| click.message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_touch_before_an_order_has_it() {
        let [first, second, gift] = [1, 2, 3].map(Uuid::from_u128);
        let click = |message, at| Click { message, at, within: 100, min_amount: 50 };
        let clicks = [click(first, 10), click(second, 60)];
        let check = |at, amount, by_code, expected| {
            assert_eq!(credited(at, amount, by_code, &clicks), expected, "{amount} at {at} by {by_code:?}");
        };
        check(9, 50, None, None);
        check(10, 50, None, Some(first));
        check(59, 50, None, Some(first));
        check(60, 50, None, Some(second));
        check(160, 50, None, Some(second));
        check(161, 50, None, None);
        check(70, 49, None, None);
        // The code itself says which message it was.
        check(161, 1, Some(gift), Some(gift));
    }
}
