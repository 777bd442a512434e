//! `members show|erase|readmit|merge`.

use clap::Subcommand;
use serde::Serialize;

use super::output::{self, Format};
use super::{CommandError, Result, Session, rfc3339};
use crate::domain::instant;
use crate::domain::member::{Member, suppression_key};
use crate::domain::message::Channel;
use crate::store::merging::{self, Merged};
use crate::store::{Tx, consents, erasure, members, messages, objections, purchases, suppressions};

#[derive(Debug, Subcommand)]
pub(super) enum Members {
    /// Show what the store holds of a member: fields, other names, consents, objections.
    Show {
        /// The member's external id, or another name.
        id: String,
    },
    /// Remove what names a member, for ever; from then on files bring them back only after `readmit`.
    ///
    /// What stays is a keyed hash of the ids and addresses, so that nobody writes to them, and rows of the ledger that
    /// name nobody, so that reports count what they counted. Messages that were written to a folder, rejects files,
    /// logs of servers and backups are yours to clean.
    Erase {
        /// The member's external id, or another name.
        id: String,
    },
    /// Let files bring an erased member in again, under the id that was erased.
    Readmit {
        /// The external id that was erased.
        id: String,
    },
    /// Make one member another name of a second one: `members merge guest-5 INTO acct-5`.
    ///
    /// Orders, messages, gifts, objections and consents go over (of two answers the later holds); where both have a
    /// message for one occasion, that of the second stays. The fields of the first go, those of the second stay. Every
    /// later file that says the first means the second.
    Merge {
        /// The member that becomes a name.
        from: String,
        /// The word INTO.
        #[arg(value_parser = ["INTO"], ignore_case = true, hide_possible_values = true, value_name = "INTO")]
        word: String,
        /// The member who stays.
        into: String,
    },
}

#[derive(Serialize)]
struct Shown {
    external_id: String,
    other_names: Vec<String>,
    fields: Vec<(&'static str, String)>,
    attributes: std::collections::BTreeMap<String, String>,
    orders: i64,
    messages: usize,
    paused_until: Option<String>,
    consents: Vec<Consent>,
    objections: Vec<Objection>,
    suppressions: Vec<Suppression>,
}

#[derive(Serialize)]
struct Consent {
    channel: String,
    given: bool,
    at: String,
    source: String,
    evidence: Option<String>,
}

#[derive(Serialize)]
struct Objection {
    channel: String,
    purpose: String,
    reason: String,
    at: String,
}

#[derive(Serialize)]
struct Suppression {
    channel: &'static str,
    purpose: String,
    reason: String,
}

impl Members {
    pub(super) async fn execute(self, session: &Session) -> Result {
        let app = session.open().await?;
        let now = app.clock.now().timestamp_millis();
        let said = match self {
            Self::Show { id } => {
                let mut tx = app.store.read().await?;
                let member = members::by_external_id(&mut tx, &id).await?.ok_or_else(|| unknown(&id))?;
                let shown = shown(&mut tx, member).await?;
                tx.commit().await?;
                return match session.format {
                    Format::Table => show(&shown),
                    Format::Json | Format::Csv => output::json(&shown),
                };
            }
            Self::Erase { id } => {
                let mut tx = app.store.begin().await?;
                let done = erasure::erase(&mut tx, &id, now).await?;
                tx.commit().await?;
                if !done {
                    return Err(unknown(&id));
                }
                format!("{id} is erased. Files bring them back only after `rekindle members readmit {id}`.")
            }
            Self::Readmit { id } => {
                let mut tx = app.store.begin().await?;
                let done = erasure::readmit(&mut tx, &id).await?;
                tx.commit().await?;
                if !done {
                    return Err(CommandError::Other(format!("nobody with the id `{id}` was erased")));
                }
                format!(
                    "{id} may be written down again: the next file of members brings them in. What they objected to stays."
                )
            }
            Self::Merge { from, into, .. } => {
                let mut tx = app.store.begin().await?;
                let merged = merging::merge(&mut tx, &from, &into, now).await?;
                tx.commit().await?;
                match merged {
                    Merged::Done => format!("{from} is another name of {into} now."),
                    Merged::Same => format!("{from} and {into} are one member already."),
                    Merged::Unknown => {
                        let mut tx = app.store.read().await?;
                        let known = members::by_external_id(&mut tx, &from).await?.is_some();
                        return Err(unknown(if known { &into } else { &from }));
                    }
                }
            }
        };
        match session.format {
            Format::Table => output::say(&said),
            Format::Json | Format::Csv => output::json(&serde_json::json!({ "done": said })),
        }
    }
}

fn unknown(id: &str) -> CommandError {
    CommandError::Other(format!("there is no member `{id}`"))
}

/// What the store holds of a member, as it is shown.
async fn shown(tx: &mut Tx, member: Member) -> Result<Shown> {
    let log = consents::of_members(tx, vec![member.id]).await?.remove(&member.id).unwrap_or_default();
    let suppressions = closed(tx, &member).await?;
    Ok(Shown {
        other_names: erasure::aliases(tx, member.id).await?,
        fields: fields(&member),
        orders: purchases::count_of(tx, member.id).await?,
        messages: messages::of_member(tx, member.id).await?.len(),
        paused_until: member.paused_until.map(rfc3339),
        consents: log.into_iter().map(consent).collect(),
        objections: objections::of_member(tx, member.id).await?.into_iter().map(objection).collect(),
        suppressions,
        attributes: member.attributes,
        external_id: member.external_id,
    })
}

/// Those of a member's fields that hold something.
fn fields(member: &Member) -> Vec<(&'static str, String)> {
    let text = |value: &Option<String>| value.clone();
    let fields: Vec<(&'static str, Option<String>)> = vec![
        ("email", text(&member.email)),
        ("phone", text(&member.phone)),
        ("title", text(&member.title)),
        ("first_name", text(&member.first_name)),
        ("last_name", text(&member.last_name)),
        ("birth_date", member.birth_date.map(|date| date.to_string())),
        ("joined_at", member.joined_at.map(rfc3339)),
        ("locale", text(&member.locale)),
        ("timezone", member.timezone.map(|zone| zone.name().to_owned())),
        ("calendar", member.calendar.map(|calendar| calendar.to_string())),
        ("email_consent", Some(member.email_consent.to_string())),
        ("sms_consent", Some(member.sms_consent.to_string())),
        ("tier", text(&member.tier)),
        ("points", member.points.map(|points| points.to_string())),
        ("erased_or_merged", member.deleted.then(|| "true".to_owned())),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// For what a member's addresses are closed.
async fn closed(tx: &mut Tx, member: &Member) -> Result<Vec<Suppression>> {
    let mut closed = Vec::new();
    for channel in Channel::ALL {
        if let Some(address) = suppression_key(member, *channel) {
            let rows = suppressions::of_address(tx, &address).await?;
            closed.extend(rows.into_iter().map(|(purpose, reason)| Suppression {
                channel: channel.as_str(),
                purpose,
                reason,
            }));
        }
    }
    Ok(closed)
}

/// A line of the log.
fn consent(line: consents::Consent) -> Consent {
    Consent {
        channel: line.channel,
        given: line.given,
        at: rfc3339(instant(line.at)),
        source: line.source,
        evidence: line.evidence,
    }
}

fn objection(line: objections::Shown) -> Objection {
    Objection { channel: line.channel, purpose: line.purpose, reason: line.reason, at: rfc3339(instant(line.made_at)) }
}

fn show(shown: &Shown) -> Result {
    output::say(&format!("Member {}", shown.external_id))?;
    if !shown.other_names.is_empty() {
        output::say(&format!("  other names: {}", shown.other_names.join(", ")))?;
    }
    for (name, value) in &shown.fields {
        output::say(&format!("  {name}: {value}"))?;
    }
    for (name, value) in &shown.attributes {
        output::say(&format!("  attributes.{name}: {value}"))?;
    }
    let orders = output::counted(usize::try_from(shown.orders).unwrap_or(0), "order");
    output::say(&format!("  {orders}, {}", output::counted(shown.messages, "message")))?;
    if let Some(until) = &shown.paused_until {
        output::say(&format!("  paused marketing until {until}"))?;
    }
    for line in &shown.consents {
        let word = if line.given { "agreed to" } else { "withdrew" };
        let evidence = line.evidence.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        output::say(&format!("  {}  {word} {} ({}){evidence}", line.at, line.channel, line.source))?;
    }
    for line in &shown.objections {
        output::say(&format!("  {}  objected to {} by {} ({})", line.at, line.purpose, line.channel, line.reason))?;
    }
    for line in &shown.suppressions {
        output::say(&format!("  the {} address is closed for {} ({})", line.channel, line.purpose, line.reason))?;
    }
    Ok(())
}
