//! Segments: filters in files of their own, named by campaigns and by each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Audience;
use crate::document::{Problem, expected};

/// Every segment, with those that it names filled in.
#[derive(Debug, Default)]
pub struct Segments {
    /// As they were read: file and filter.
    read: BTreeMap<String, (String, Audience)>,
    filled: BTreeMap<String, Arc<Audience>>,
}

impl Segments {
    /// From the files that were read, by name; reports segments that are not there, and circles.
    pub fn new(read: BTreeMap<String, (String, Audience)>, problems: &mut Vec<Problem>) -> Self {
        let mut segments = Self { read, filled: BTreeMap::new() };
        let names: Vec<String> = segments.read.keys().cloned().collect();
        for name in names {
            segments.complete(&name, &mut Vec::new(), problems);
        }
        segments
    }

    /// The files with their filters, as they were read.
    pub fn read(&self) -> impl Iterator<Item = (&str, &Audience)> {
        self.read.values().map(|(file, audience)| (file.as_str(), audience))
    }

    /// Every filter, by name.
    pub fn into_filters(self) -> BTreeMap<String, Arc<Audience>> {
        self.filled
    }

    /// Puts the segments that a filter names in their places.
    pub fn fill(&self, audience: &mut Audience, file: &str, problems: &mut Vec<Problem>) {
        audience.segments(&mut |segment| {
            segment.filter = self.filled.get(&segment.name).cloned();
            if !self.read.contains_key(&segment.name) {
                let known: Vec<&str> = self.read.keys().map(String::as_str).collect();
                let (line, column) = segment.place;
                let message = if known.is_empty() {
                    format!("there is no segment `{0}`; write its filter to segments/{0}.yaml", segment.name)
                } else {
                    format!("there is no segment `{}`; {}", segment.name, expected(&segment.name, &known))
                };
                problems.push(Problem { file: file.to_owned(), line, column, message });
            }
        });
    }

    /// Fills in one segment after those that it names. `path` are the ones that led here.
    fn complete(&mut self, name: &str, path: &mut Vec<String>, problems: &mut Vec<Problem>) {
        let Some((file, audience)) = self.read.get(name).filter(|_| !self.filled.contains_key(name)) else { return };
        let (file, mut audience) = (file.clone(), audience.clone());
        path.push(name.to_owned());
        let mut named = Vec::new();
        audience.segments(&mut |segment| named.push((segment.name.clone(), segment.place)));
        for (other, (line, column)) in named {
            if let Some(start) = path.iter().position(|name| *name == other) {
                let circle = path[start..].iter().chain([&other]).map(|name| format!("`{name}`")).collect::<Vec<_>>();
                let message = format!("segments go in a circle: {}; take one out", circle.join(" → "));
                problems.push(Problem { file: file.clone(), line, column, message });
            } else {
                self.complete(&other, path, problems);
            }
        }
        path.pop();
        self.fill(&mut audience, &file, problems);
        self.filled.insert(name.to_owned(), Arc::new(audience));
    }
}

impl Audience {
    /// Shows the segments that this filter itself names to `see`.
    fn segments(&mut self, see: &mut dyn FnMut(&mut super::Segment)) {
        match self {
            Self::All(items) | Self::Any(items) => items.iter_mut().for_each(|item| item.segments(see)),
            Self::Not(inner) => inner.segments(see),
            Self::Segment(segment) => see(segment),
            Self::Compare(_) | Self::Reachable(_) | Self::Received(_) => {}
        }
    }
}
