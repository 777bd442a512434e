//! Addresses closed and opened by hand.

use super::{ActionError, By, Result};
use crate::domain::brand::Brand;
use crate::domain::message::{Channel, Purpose};
use crate::domain::{address, phone};
use crate::store::audit::{Deed, Line};
use crate::store::erasure::{self, Named};
use crate::store::suppressions::{self, Suppression};

/// An address as suppressions compare it: an e-mail address, else a phone number.
pub fn read(text: &str, brand: &Brand) -> std::result::Result<(Channel, String), String> {
    let (channel, parsed) = if text.contains('@') {
        (Channel::Email, address::parse(text))
    } else {
        (Channel::Sms, phone::parse(text, brand.phone_region))
    };
    Ok((channel, parsed?.to_lowercase()))
}

/// Closes an address for some purposes; gives for how many it was open.
pub async fn close(by: By<'_>, (channel, address): (Channel, &str), purposes: &[Purpose], why: &str) -> Result<u64> {
    let mut tx = by.store.begin().await?;
    if erasure::erased(&mut tx, &[vec![Named::Address(channel, address)]]).await? == [true] {
        return Err(ActionError::Refused(
            "whoever had this address was erased: nothing is sent there, and nothing is stored about it".into(),
        ));
    }
    let row = |purpose: &Purpose| Suppression {
        address: address.to_owned(),
        purpose: purpose.as_str(),
        reason: why.to_owned(),
        created_at: by.now().timestamp_millis(),
    };
    let closed = suppressions::insert(&mut tx, &purposes.iter().map(row).collect::<Vec<_>>()).await?;
    if closed > 0 {
        let line = Line { detail: Some(channel.as_str()), ..Line::new(by.who, Deed::AddressClosed) };
        by.done(tx, line).await?;
    } else {
        tx.commit().await?;
    }
    Ok(closed)
}

/// Opens an address that was closed for another reason than a member's own word; `own` opens those, too. Gives what it
/// was closed for, and why.
pub async fn open(by: By<'_>, (channel, address): (Channel, &str), own: bool) -> Result<Vec<(String, String)>> {
    let mut tx = by.store.begin().await?;
    let closed = suppressions::of_address(&mut tx, address).await?;
    if let Some((_, reason)) = closed.iter().find(|(_, reason)| is_said(reason)).filter(|_| !own) {
        return Err(ActionError::Refused(format!(
            "its member closed it themselves ({reason}), and nothing was changed. Where they want it open again, write down \
             what they said with `members consent`; with --yes it is opened in any case"
        )));
    }
    for (purpose, reason) in &closed {
        suppressions::lift(&mut tx, address, purpose, reason).await?;
    }
    if !closed.is_empty() {
        let line = Line { detail: Some(channel.as_str()), ..Line::new(by.who, Deed::AddressOpened) };
        by.done(tx, line).await?;
    } else {
        tx.commit().await?;
    }
    Ok(closed)
}

/// Whether a member said it, in one way or another.
fn is_said(reason: &str) -> bool {
    suppressions::is_own(reason) || reason == "complained"
}
