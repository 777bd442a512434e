//! `dkim`.

use serde::Serialize;

use super::output::{self, Format};
use super::{Result, Session};
use crate::app::signers;

#[derive(Serialize)]
struct Record {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    value: String,
}

/// Prints the DNS record of each key, to be published before it signs.
pub(super) fn execute(session: &Session) -> Result {
    let records: Vec<Record> = signers(&*session.settings()?)?
        .iter()
        .map(|signer| {
            let (name, value) = signer.record();
            Record { name, kind: "TXT", value }
        })
        .collect();
    if session.format == Format::Json {
        return output::json(&records);
    }
    if records.is_empty() {
        return output::say("No keys: mail is not signed. `email.dkim` in the settings names them.");
    }
    for Record { name, kind, value } in records {
        output::say(&format!("{name} {kind}\n  {value}\n"))?;
    }
    Ok(())
}
