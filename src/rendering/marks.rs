//! The characters by which an address in HTML says whose it is. No value can hold them.

/// Before an address whose host stands in the template, or is the shop's own: it may be signed as ours.
pub(super) const OWN: char = '\u{fdd0}';

/// Before an address that begins with a value: whoever filled it in says where it leads.
pub(super) const FOREIGN: char = '\u{fdd1}';

/// Text without the characters that mark addresses.
pub(super) fn unmarked(text: &str) -> String {
    // Both begin with the same byte, which few texts hold.
    if text.as_bytes().contains(&0xef) { text.replace([OWN, FOREIGN], "") } else { text.to_owned() }
}
