//! How configurations differ, and what a change would do before it is made.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use similar::TextDiff;

use super::audience::{self, Counted};
use super::forecast::{Day, forecast};
use super::{ViewError, forecast::DAYS};
use crate::catalog::{Catalog, Files};
use crate::domain::Instant;
use crate::domain::campaign::Campaign;
use crate::scheduler::live;
use crate::settings::Settings;
use crate::store::Store;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Added,
    Changed,
    Removed,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub file: String,
    pub kind: Kind,
    /// The lines that differ with those around them, as `diff -u` writes them.
    pub diff: String,
}

/// How many lines around a difference are shown.
const AROUND: usize = 3;

/// What differs from one configuration to another, by file.
pub fn differences(before: &Files, after: &Files) -> Vec<Change> {
    let (before, after) = (before.texts(), after.texts());
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |path: &String| {
        let (old, new) = (before.get(path).copied(), after.get(path).copied());
        let kind = match (old, new) {
            (None, _) => Kind::Added,
            (_, None) => Kind::Removed,
            _ if old == new => return None,
            _ => Kind::Changed,
        };
        let diff = TextDiff::from_lines(old.unwrap_or_default(), new.unwrap_or_default());
        let [from, to] = [("a", old), ("b", new)].map(|(side, text)| match text {
            Some(_) => format!("{side}/{path}"),
            None => "/dev/null".to_owned(),
        });
        let diff = diff.unified_diff().context_radius(AROUND).header(&from, &to).to_string();
        Some(Change { file: path.clone(), kind, diff })
    };
    paths.into_iter().filter_map(change).collect()
}

/// What a campaign sends in the next days as it is now, and as it would be.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outlook {
    pub campaign: String,
    pub now: u64,
    pub then: u64,
    /// By day, where that differs.
    pub days: Vec<OutlookDay>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct OutlookDay {
    pub day: String,
    pub now: u64,
    pub then: u64,
}

/// What a change of the configuration would do.
#[derive(Debug, Serialize)]
pub struct Assessed {
    pub changes: Vec<Change>,
    /// What is wrong with it, and must be mended before it can be published.
    pub findings: Vec<String>,
    /// Of the campaigns that are new or another than before, with some members.
    pub audiences: Vec<Counted>,
    /// The campaigns of which more or less would be sent in the next [`DAYS`] days.
    pub outlook: Vec<Outlook>,
}

/// How many members are shown of an audience.
const SAMPLE: u32 = 5;

/// Checks a changed configuration, counts whom it reaches, and compares what it would send with what is sent now.
/// `progress` is told how many of twice [`DAYS`] days are looked at.
pub async fn assess(
    store: &Store,
    settings: &Settings,
    (before, after): (&Files, &Files),
    now: Instant,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Assessed, ViewError> {
    let changes = differences(before, after);
    let new = match Catalog::compile(after, settings) {
        Ok(catalog) => catalog,
        Err(problems) => {
            let findings = problems.0.iter().map(ToString::to_string).collect();
            return Ok(Assessed { changes, findings, audiences: Vec::new(), outlook: Vec::new() });
        }
    };
    // What the store has may be from before a change of the settings.
    let old = Catalog::compile(before, settings).ok();
    let mut audiences = Vec::new();
    for name in changed_campaigns(old.as_ref(), &new) {
        audiences.push(audience::count(store, &new, name, now, SAMPLE).await?);
    }
    let mut counts = [Vec::new(), Vec::new()];
    for (side, (catalog, days)) in (0_u64..).zip([old.as_ref(), Some(&new)].into_iter().zip(&mut counts)) {
        let Some(catalog) = catalog else { continue };
        let names: Vec<&str> = live(catalog).map(|campaign| campaign.name.as_str()).collect();
        let mut at = |at: Instant| {
            let done = (at - now).num_days().clamp(0, DAYS).unsigned_abs();
            progress(side * DAYS.unsigned_abs() + done);
        };
        *days = forecast(store, catalog, &names, now, &mut at).await?;
    }
    let [now, then] = counts;
    Ok(Assessed { changes, findings: Vec::new(), audiences, outlook: outlook(now, then) })
}

/// Those whose file says something else than before, or that are new.
fn changed_campaigns<'a>(old: Option<&Catalog>, new: &'a Catalog) -> Vec<&'a str> {
    let text = |campaign: &Campaign| format!("{campaign:?}");
    let is_same = |campaign: &Campaign| {
        let before = old.and_then(|old| old.campaigns.get(&campaign.name));
        before.is_some_and(|before| text(before) == text(campaign))
    };
    new.campaigns.values().filter(|campaign| !is_same(campaign)).map(|campaign| campaign.name.as_str()).collect()
}

fn outlook(now: Vec<Day>, then: Vec<Day>) -> Vec<Outlook> {
    let mut all: BTreeMap<String, BTreeMap<String, [u64; 2]>> = BTreeMap::new();
    for (side, days) in [now, then].into_iter().enumerate() {
        for Day { day, campaign, messages } in days {
            all.entry(campaign).or_default().entry(day.to_string()).or_default()[side] += messages;
        }
    }
    let of_campaign = |(campaign, days): (String, BTreeMap<String, [u64; 2]>)| {
        let sum = |side: usize| days.values().map(|counts| counts[side]).sum();
        let (now, then) = (sum(0), sum(1));
        let days = days.into_iter().filter(|(_, [now, then])| now != then);
        let days: Vec<OutlookDay> = days.map(|(day, [now, then])| OutlookDay { day, now, then }).collect();
        (!days.is_empty()).then_some(Outlook { campaign, now, then, days })
    };
    all.into_iter().filter_map(of_campaign).collect()
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn files(campaigns: &[(&str, &str)]) -> Files {
        let texts = campaigns.iter().map(|(name, text)| (format!("campaigns/{name}"), (*text).to_owned()));
        Files::from_texts(texts).unwrap()
    }

    #[test]
    fn files_that_differ_are_shown_line_by_line() {
        let before = files(&[("a.yaml", "name: a\nstatus: draft\n"), ("gone.yaml", "x\n"), ("same.yaml", "s\n")]);
        let after = files(&[("a.yaml", "name: a\nstatus: live\n"), ("new.yaml", "y\n"), ("same.yaml", "s\n")]);
        let found = differences(&before, &after);
        let kinds: Vec<(&str, Kind)> = found.iter().map(|change| (change.file.as_str(), change.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("campaigns/a.yaml", Kind::Changed),
                ("campaigns/gone.yaml", Kind::Removed),
                ("campaigns/new.yaml", Kind::Added)
            ]
        );
        assert_eq!(
            found[0].diff,
            "--- a/campaigns/a.yaml\n+++ b/campaigns/a.yaml\n@@ -1,2 +1,2 @@\n name: a\n-status: draft\n+status: live\n"
        );
        assert!(found[1].diff.contains("+++ /dev/null\n") && found[2].diff.contains("--- /dev/null\n"));
        assert_eq!(differences(&after, &after), []);
    }

    #[test]
    fn an_outlook_has_the_days_that_differ() {
        let day = |number: u32, campaign: &str, messages: u64| Day {
            day: NaiveDate::from_ymd_opt(2026, 3, number).unwrap(),
            campaign: campaign.to_owned(),
            messages,
        };
        let found = outlook(
            vec![day(1, "a", 5), day(2, "a", 5), day(1, "same", 3)],
            vec![day(1, "a", 5), day(2, "a", 7), day(1, "same", 3), day(4, "new", 1)],
        );
        let days = |days: &[(&str, u64, u64)]| -> Vec<OutlookDay> {
            days.iter().map(|(day, now, then)| OutlookDay { day: (*day).to_owned(), now: *now, then: *then }).collect()
        };
        assert_eq!(
            found,
            [
                Outlook { campaign: "a".into(), now: 10, then: 12, days: days(&[("2026-03-02", 5, 7)]) },
                Outlook { campaign: "new".into(), now: 0, then: 1, days: days(&[("2026-03-04", 0, 1)]) },
            ]
        );
    }
}
