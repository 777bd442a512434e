//! From files to a catalog; everything that is wrong with any of them is reported.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::reading::Files;
use super::wording::Wording;
use super::{Catalog, checks};
use crate::document::{Problem, Problems};
use crate::domain::audience::{Audience, Segments};
use crate::domain::brand::Brand;
use crate::domain::campaign::Campaign;
use crate::domain::sms::SmsSize;
use crate::domain::token::TokenKey;
use crate::rendering::Renderer;
use crate::settings::Settings;
use crate::transports::sms::Provider;
use crate::triggers;

impl Catalog {
    /// Compiles files; reports everything that is wrong with any of them.
    pub fn compile(files: &Files, settings: &Settings) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut brand = settings.brand.clone();
        let occasions = files.occasions.iter();
        problems.extend(
            brand.almanac.read(occasions.map(|(name, text)| (shown(&settings.occasions, name), text.as_str()))),
        );
        let segments = compile_segments(files, settings, &mut problems);
        let written = Written::compile(files, settings, (&brand, &segments), &mut problems);
        let providers = compile_providers(files, settings, &mut problems);
        let (renderer, found) = Renderer::compile(&settings.templates.display().to_string(), &files.templates);
        problems.extend(found);
        let wording =
            Wording { renderer: &renderer, from: &settings.email.from, routes: &brand.sms, providers: &providers };
        let sms_sizes = written.check_contents(wording, settings, &mut problems);
        // Where a campaign could not be read, its name is not known either.
        if problems.is_empty() {
            written.check_received(&segments, &mut problems);
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let campaigns = written.campaigns;
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

/// The campaigns that could be read.
#[derive(Default)]
struct Written {
    campaigns: BTreeMap<String, Campaign>,
    /// The file of each.
    places: BTreeMap<String, String>,
}

impl Written {
    /// Every campaign file, with the segments that it names filled in.
    fn compile(
        files: &Files,
        settings: &Settings,
        (brand, segments): (&Brand, &Segments),
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut written = Self::default();
        for (name, text) in &files.campaigns {
            let file = shown(&settings.campaigns, name);
            match Campaign::parse(&file, text, brand, triggers::ALL) {
                Ok(mut campaign) => {
                    segments.fill(&mut campaign.audience, &file, problems);
                    problems.extend(written.add(campaign, file));
                }
                Err(found) => problems.extend(found.0),
            }
        }
        written
    }

    /// Takes a campaign, unless another one has its name.
    fn add(&mut self, campaign: Campaign, file: String) -> Option<Problem> {
        if let Some(other) = self.places.insert(campaign.name.clone(), file.clone()) {
            let message = format!("the name `{}` is taken by {other}; each campaign needs its own", campaign.name);
            return Some(Problem { file, line: 0, column: 0, message });
        }
        self.campaigns.insert(campaign.name.clone(), campaign);
        None
    }

    /// Renders what the campaigns say; gives how large their SMS are.
    fn check_contents(
        &self,
        wording: Wording<'_>,
        settings: &Settings,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<(String, String), SmsSize> {
        let mut sms_sizes = BTreeMap::new();
        for campaign in self.campaigns.values() {
            let contents = checks::Contents { wording, settings, file: &self.places[&campaign.name] };
            contents.check(campaign, &mut sms_sizes, problems);
        }
        sms_sizes
    }

    /// The campaigns whose messages segments and campaigns ask for are there.
    fn check_received(&self, segments: &Segments, problems: &mut Vec<Problem>) {
        for (file, audience) in segments.read() {
            checks::received(audience, file, &self.campaigns, problems);
        }
        for campaign in self.campaigns.values() {
            checks::received(&campaign.audience, &self.places[&campaign.name], &self.campaigns, problems);
        }
    }
}

/// A file as the user would name it.
fn shown(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// Every description of a provider, by its name.
fn compile_providers(files: &Files, settings: &Settings, problems: &mut Vec<Problem>) -> BTreeMap<String, Provider> {
    let mut providers = BTreeMap::new();
    for (name, text) in &files.providers {
        match Provider::parse(&shown(&settings.providers, name), text) {
            Ok(provider) => drop(providers.insert(provider.name.clone(), provider)),
            Err(found) => problems.extend(found.0),
        }
    }
    providers
}

/// Every segment file, by the name of the file without its ending.
fn compile_segments(files: &Files, settings: &Settings, problems: &mut Vec<Problem>) -> Segments {
    let mut read = BTreeMap::new();
    for (path, text) in &files.segments {
        let file = shown(&settings.segments, path);
        let name = path.trim_end_matches(".yaml").trim_end_matches(".yml").to_owned();
        let audience = Audience::parse_segment(&file, text, settings.brand.timezone).unwrap_or_else(|found| {
            problems.extend(found.0);
            Audience::everybody()
        });
        read.insert(name, (file, audience));
    }
    Segments::new(read, problems)
}
