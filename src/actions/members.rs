//! Members erased, let in again, put together; their pauses and consents.

use super::{ActionError, By, Result};
use crate::domain::Instant;
use crate::domain::calendar::rfc3339;
use crate::domain::member::Member;
use crate::domain::message::Channel;
use crate::store::audit::{Deed, Line};
use crate::store::consents::{self, Consent};
use crate::store::merging::{self, Merged};
use crate::store::{Tx, erasure, members};

/// What `source` says of a consent that somebody wrote down.
const BY_HAND: &str = "by_hand";

/// Removes what names a member, for ever.
pub async fn erase(by: By<'_>, id: &str) -> Result<()> {
    let mut tx = by.store.begin().await?;
    let member = found(&mut tx, id).await?;
    if !erasure::erase(&mut tx, id, by.now().timestamp_millis()).await? {
        return Err(ActionError::NoMember(id.to_owned()));
    }
    by.done(tx, Line { member: Some(member.id), ..Line::new(by.who, Deed::MemberErased) }).await
}

/// Lets files bring an erased member in again.
pub async fn readmit(by: By<'_>, id: &str) -> Result<()> {
    let mut tx = by.store.begin().await?;
    if !erasure::readmit(&mut tx, id).await? {
        return Err(ActionError::NotErased(id.to_owned()));
    }
    by.done(tx, Line::new(by.who, Deed::MemberReadmitted)).await
}

/// Makes one member another name of a second one; false where it is already.
pub async fn merge(by: By<'_>, from: &str, into: &str) -> Result<bool> {
    let mut tx = by.store.begin().await?;
    let [from_there, into_there] =
        [members::by_external_id(&mut tx, from).await?, members::by_external_id(&mut tx, into).await?];
    match merging::merge(&mut tx, from, into, by.now().timestamp_millis()).await? {
        Merged::Done => {
            let member = into_there.map(|member| member.id);
            by.done(tx, Line { member, ..Line::new(by.who, Deed::MembersMerged) }).await?;
            Ok(true)
        }
        Merged::Same => {
            tx.commit().await?;
            Ok(false)
        }
        Merged::Unknown => Err(ActionError::NoMember(if from_there.is_some() { into } else { from }.to_owned())),
    }
}

/// Keeps marketing from a member until an instant.
pub async fn pause(by: By<'_>, id: &str, until: Instant) -> Result<()> {
    if until <= by.now() {
        return Err(ActionError::Refused(format!("{} is over; write a later instant", rfc3339(until))));
    }
    let mut tx = by.store.begin().await?;
    let member = found(&mut tx, id).await?;
    members::pause(&mut tx, member.id, Some(until)).await?;
    let detail = format!("until {}", rfc3339(until));
    let line = Line { member: Some(member.id), detail: Some(&detail), ..Line::new(by.who, Deed::MemberPaused) };
    by.done(tx, line).await
}

/// Ends a member's pause; false where there is none.
pub async fn resume(by: By<'_>, id: &str) -> Result<bool> {
    let mut tx = by.store.begin().await?;
    let member = found(&mut tx, id).await?;
    if member.paused_until.is_none_or(|until| until <= by.now()) {
        tx.commit().await?;
        return Ok(false);
    }
    members::pause(&mut tx, member.id, None).await?;
    by.done(tx, Line { member: Some(member.id), ..Line::new(by.who, Deed::MemberResumed) }).await?;
    Ok(true)
}

/// What a member said about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    pub channel: Channel,
    pub given: bool,
    /// When they said it.
    pub at: Instant,
    /// By what words; a consent needs some.
    pub evidence: Option<&'a str>,
}

/// Writes down what a member said about a channel. A consent with its evidence also takes back what they objected to
/// before it. False where that line is there already.
pub async fn consent(by: By<'_>, id: &str, said: Said<'_>) -> Result<bool> {
    let Said { channel, given, at, evidence } = said;
    let evidence = evidence.map(str::trim).filter(|text| !text.is_empty());
    if given && evidence.is_none() {
        return Err(ActionError::Refused(
            "a consent needs its evidence: where and by what words they gave it, such as `asked for it by phone`"
                .into(),
        ));
    }
    if at > by.now() {
        return Err(ActionError::Refused(format!("{} is yet to come", rfc3339(at))));
    }
    let mut tx = by.store.begin().await?;
    let member = found(&mut tx, id).await?;
    let line = Consent {
        member_id: member.id,
        channel: channel.to_string(),
        at: at.timestamp_millis(),
        given,
        source: BY_HAND.to_owned(),
        evidence: evidence.map(str::to_owned),
    };
    if consents::add(&mut tx, &[line]).await? == 0 {
        tx.commit().await?;
        return Ok(false);
    }
    let what = if given { Deed::ConsentGiven } else { Deed::ConsentWithdrawn };
    let line = Line { member: Some(member.id), detail: Some(channel.as_str()), ..Line::new(by.who, what) };
    by.done(tx, line).await?;
    Ok(true)
}

async fn found(tx: &mut Tx, id: &str) -> Result<Member> {
    let member = members::by_external_id(tx, id).await?.filter(|member| !member.deleted);
    member.ok_or_else(|| ActionError::NoMember(id.to_owned()))
}
