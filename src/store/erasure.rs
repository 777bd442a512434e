//! Erasure: what names a person goes, and a keyed hash of their ids and addresses stays, so that nobody writes to
//! them and no later file brings them back. The ledger keeps its rows, which then name nobody.

use std::collections::{BTreeMap, HashSet};

use sqlx::types::Json;

use super::members::{self, next_change};
use super::suppressions::{self, Suppression};
use super::{Result, Rows, Texts, Tx, configuration, consents, execute, query, statements};
use crate::domain::message::{Channel, Purpose};

/// The reason of an address that an erased person shares with somebody who is still there.
pub const ERASED: &str = "erased";

statements! {
    MARK = "INSERT INTO erased (mark, member_id) SELECT r.mark, r.member_id FROM {rows $1: mark TEXT, member_id BIGINT} \
        WHERE TRUE ON CONFLICT (mark, member_id) DO NOTHING";
    ANY = "SELECT COUNT(*) FROM (SELECT 1 FROM erased LIMIT 1) e";
    MARKED = "SELECT DISTINCT mark FROM erased WHERE mark {in $1}";
    WHOSE = "SELECT member_id FROM erased WHERE mark = $1 ORDER BY member_id DESC";
    MARKS_OF = "SELECT mark FROM erased WHERE member_id = $1";
    UNMARK = "DELETE FROM erased WHERE member_id = $1";
    ALIASES = "SELECT alias FROM member_aliases WHERE member_id = $1 ORDER BY alias";
    FORGET_ALIASES = "DELETE FROM member_aliases WHERE member_id = $1";
    FORGET_DATES = "DELETE FROM member_dates WHERE member_id = $1 AND name <> 'first_purchase'";
    FORGET_ADDRESSES = "UPDATE attempts SET address = NULL, reply = NULL WHERE message_id IN \
        (SELECT m.id FROM messages m WHERE m.member_id = $1)";
    FORGET_REPLIES = "UPDATE messages SET detail = NULL, unit = NULL WHERE member_id = $1 AND (detail IS NOT NULL OR unit IS NOT NULL)";
    FORGET_HEARD = "UPDATE events SET address = NULL, detail = CASE WHEN kind = 'clicked' THEN detail END \
        WHERE message_id IN (SELECT m.id FROM messages m WHERE m.member_id = $1)";
    FORGET_HEARD_FROM = "UPDATE events SET address = NULL, detail = NULL WHERE address {in $1}";
    FORGET_ANSWERS = "DELETE FROM answers WHERE address {in $1}";
    FORGET_WORDS = "DELETE FROM replies WHERE address {in $1}";
    READMIT = "UPDATE members SET external_id = $2, deleted_at = NULL, changed = $3 WHERE id = $1";
    // What is kept of a person: nothing that names them.
    CLEAR = "UPDATE members SET external_id = $2, email = NULL, phone = NULL, title = NULL, first_name = NULL, \
    last_name = NULL, birth_date = NULL, birth_gregorian = NULL, birth_persian = NULL, joined_at = NULL, joined_gregorian = NULL, \
    joined_persian = NULL, locale = NULL, timezone = NULL, calendar = NULL, email_consent = FALSE, sms_consent = FALSE, \
    tier = NULL, points = NULL, attributes = $5, paused_until = NULL, changed = $3, deleted_at = $4 WHERE id = $1";
}

/// Empties a member's row and puts it under a name that no file can give.
pub(super) async fn clear(tx: &mut Tx, member: i64, name: String, change: i64, now: i64) -> Result<()> {
    let none = Json(BTreeMap::<String, String>::new());
    execute!(tx, CLEAR, member, name, change, now, none)?;
    Ok(())
}

/// The kinds of what is kept as a hash.
const ID: &str = "id";

/// The other names of a member.
pub async fn aliases(tx: &mut Tx, member: i64) -> Result<Vec<String>> {
    Ok(query!(fetch_all, (String,), tx, ALIASES, member)?.into_iter().map(|(alias,)| alias).collect())
}

/// Whether an external id is one of those under which erased and merged members stay.
pub fn is_reserved(external_id: &str) -> bool {
    let rest = external_id.strip_prefix("erased:").or_else(|| external_id.strip_prefix("merged:"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Erases a member, at an instant in epoch milliseconds; `false` where there is none.
pub async fn erase(tx: &mut Tx, external_id: &str, now: i64) -> Result<bool> {
    #[derive(serde::Serialize)]
    struct Mark {
        mark: String,
        member_id: i64,
    }
    let Some(member) = members::by_external_id(tx, external_id).await?.filter(|member| !member.deleted) else {
        return Ok(false);
    };
    let change = next_change(tx).await?;
    members::lock(tx, vec![member.id]).await?;
    let key = configuration::token_key(tx).await?;
    let mut names = aliases(tx, member.id).await?;
    names.push(member.external_id.clone());
    let addresses: Vec<(Channel, String)> =
        Channel::ALL.iter().filter_map(|channel| Some((*channel, member.address(*channel)?.to_lowercase()))).collect();
    let of_names = names.iter().map(|name| key.mark(ID, name));
    let of_addresses = addresses.iter().map(|(channel, address)| key.mark(channel.as_str(), address));
    let marks: Vec<Mark> = of_names.chain(of_addresses).map(|mark| Mark { mark, member_id: member.id }).collect();
    execute!(tx, MARK, Rows(&marks))?;
    // Somebody else may have the address: it stays closed, and its hash alone would not close it.
    let others = members::sharing(tx, vec![member.id]).await?;
    let is_shared = |address: &str| {
        others.iter().any(|(id, email, phone)| {
            *id != member.id
                && (phone.as_deref() == Some(address)
                    || email.as_deref().is_some_and(|email| email.to_lowercase() == address))
        })
    };
    let (shared, own): (Vec<String>, Vec<String>) =
        addresses.into_iter().map(|(_, address)| address).partition(|address| is_shared(address));
    let closed = shared.iter().flat_map(|address| {
        Purpose::ALL.iter().map(|purpose| Suppression {
            address: address.clone(),
            purpose: purpose.as_str(),
            reason: ERASED.to_owned(),
            created_at: now,
        })
    });
    suppressions::insert(tx, &closed.collect::<Vec<_>>()).await?;
    suppressions::forget(tx, own.clone()).await?;
    for statement in [FORGET_HEARD_FROM, FORGET_ANSWERS, FORGET_WORDS] {
        execute!(tx, statement, Texts(own.clone()))?;
    }
    for statement in [FORGET_ADDRESSES, FORGET_REPLIES, FORGET_HEARD, FORGET_DATES, FORGET_ALIASES] {
        execute!(tx, statement, member.id)?;
    }
    consents::forget(tx, member.id).await?;
    clear(tx, member.id, format!("erased:{}", member.id), change, now).await?;
    Ok(true)
}

/// Lets an erased person be written down again: forgets the marks, and gives the row its id back, so that what was
/// sent before is not sent again. `false` where nobody with this id was erased.
pub async fn readmit(tx: &mut Tx, external_id: &str) -> Result<bool> {
    let key = configuration::token_key(tx).await?;
    let found: Option<(i64,)> = query!(fetch_optional, (i64,), tx, WHOSE, key.mark(ID, external_id))?;
    let Some((id,)) = found else { return Ok(false) };
    let change = next_change(tx).await?;
    let marks: HashSet<String> = query!(fetch_all, (String,), tx, MARKS_OF, id)?.into_iter().map(|(m,)| m).collect();
    execute!(tx, UNMARK, id)?;
    let closed = suppressions::with_reason(tx, ERASED).await?;
    let is_theirs =
        |address: &String| Channel::ALL.iter().any(|channel| marks.contains(&key.mark(channel.as_str(), address)));
    suppressions::forget(tx, closed.into_iter().filter(is_theirs).collect()).await?;
    execute!(tx, READMIT, id, external_id, change)?;
    Ok(true)
}

/// Somebody whom a row may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    Id(&'a str),
    Address(Channel, &'a str),
}

/// Which of the rows are about somebody who was erased, each given by all that it names.
pub async fn erased(tx: &mut Tx, rows: &[Vec<Named<'_>>]) -> Result<Vec<bool>> {
    let (any,): (i64,) = query!(fetch_one, (i64,), tx, ANY)?;
    if any == 0 {
        return Ok(vec![false; rows.len()]);
    }
    let key = configuration::token_key(tx).await?;
    let marks: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let mark = |named: &Named<'_>| match named {
                Named::Id(id) => key.mark(ID, id),
                Named::Address(channel, address) => key.mark(channel.as_str(), &address.to_lowercase()),
            };
            row.iter().map(mark).collect()
        })
        .collect();
    let asked = marks.iter().flatten().cloned().collect();
    let known: HashSet<String> =
        query!(fetch_all, (String,), tx, MARKED, Texts(asked))?.into_iter().map(|(mark,)| mark).collect();
    Ok(marks.iter().map(|row| row.iter().any(|mark| known.contains(mark))).collect())
}
