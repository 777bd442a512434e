//! From files to a catalog; everything that is wrong with any of them is reported.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::reading::Files;
use super::wording::Wording;
use super::{Catalog, checks};
use crate::document::{Problem, Problems};
use crate::domain::audience::{Audience, Segments};
use crate::domain::campaign::Campaign;
use crate::domain::token::TokenKey;
use crate::rendering::Renderer;
use crate::settings::Settings;
use crate::transports::sms::Provider;
use crate::triggers;

impl Catalog {
    /// Compiles files; reports everything that is wrong with any of them.
    pub fn compile(files: &Files, settings: &Settings) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let shown = |folder: &Path, name: &str| folder.join(name).display().to_string();
        let mut brand = settings.brand.clone();
        let occasions = files.occasions.iter();
        problems.extend(
            brand.almanac.read(occasions.map(|(name, text)| (shown(&settings.occasions, name), text.as_str()))),
        );
        let segments = compile_segments(files, settings, &mut problems);
        let mut campaigns: BTreeMap<String, Campaign> = BTreeMap::new();
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        for (name, text) in &files.campaigns {
            let file = shown(&settings.campaigns, name);
            match Campaign::parse(&file, text, &brand, triggers::ALL) {
                Ok(mut campaign) => {
                    segments.fill(&mut campaign.audience, &file, &mut problems);
                    if let Some(other) = places.insert(campaign.name.clone(), file.clone()) {
                        let message =
                            format!("the name `{}` is taken by {other}; each campaign needs its own", campaign.name);
                        problems.push(Problem { file, line: 0, column: 0, message });
                        continue;
                    }
                    campaigns.insert(campaign.name.clone(), campaign);
                }
                Err(found) => problems.extend(found.0),
            }
        }
        let mut providers = BTreeMap::new();
        for (name, text) in &files.providers {
            match Provider::parse(&shown(&settings.providers, name), text) {
                Ok(provider) => drop(providers.insert(provider.name.clone(), provider)),
                Err(found) => problems.extend(found.0),
            }
        }
        let (renderer, found) = Renderer::compile(&settings.templates.display().to_string(), &files.templates);
        problems.extend(found);
        let mut sms_sizes = BTreeMap::new();
        let wording =
            Wording { renderer: &renderer, from: &settings.email.from, routes: &brand.sms, providers: &providers };
        for campaign in campaigns.values() {
            let contents = checks::Contents { wording, settings, file: &places[&campaign.name] };
            contents.check(campaign, &mut sms_sizes, &mut problems);
        }
        // Where a campaign could not be read, its name is not known either.
        if problems.is_empty() {
            for (file, audience) in segments.read() {
                checks::received(audience, file, &campaigns, &mut problems);
            }
            for campaign in campaigns.values() {
                checks::received(&campaign.audience, &places[&campaign.name], &campaigns, &mut problems);
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let watched = campaigns.values().flat_map(|campaign| campaign.audience.uses().received).collect();
        let campaigns = campaigns.into_iter().map(|(name, campaign)| (name, Arc::new(campaign))).collect();
        Ok(Self {
            hash: files.hash(),
            brand,
            from: settings.email.from.clone(),
            return_path: settings.email.return_path.clone(),
            campaigns,
            segments: segments.into_filters(),
            renderer,
            providers,
            sms_sizes,
            // The store has the real one.
            tokens: TokenKey::new([0; 32]),
            watched: Arc::new(watched),
        })
    }
}

/// Every segment file, by the name of the file without its ending.
fn compile_segments(files: &Files, settings: &Settings, problems: &mut Vec<Problem>) -> Segments {
    let mut read = BTreeMap::new();
    for (path, text) in &files.segments {
        let file = settings.segments.join(path).display().to_string();
        let name = path.trim_end_matches(".yaml").trim_end_matches(".yml").to_owned();
        let audience = Audience::parse_segment(&file, text, settings.brand.timezone).unwrap_or_else(|found| {
            problems.extend(found.0);
            Audience::everybody()
        });
        read.insert(name, (file, audience));
    }
    Segments::new(read, problems)
}
