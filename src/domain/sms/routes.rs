//! The ways that SMS go out: providers and the numbers that they are for.

use super::lines::{Line, line_for};
use crate::domain::message::Purpose;

/// A way for SMS to go out: a provider, the numbers that it is for, and its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// By name; empty where SMS are captured.
    pub provider: String,
    /// Beginnings of numbers; empty: all others.
    pub prefixes: Vec<String>,
    pub lines: Vec<Line>,
}

/// How well a number fits prefixes: the length of the longest. No prefixes fit every number, and none well.
pub fn fits(prefixes: &[String], number: &str) -> Option<usize> {
    if prefixes.is_empty() {
        return Some(0);
    }
    prefixes.iter().filter(|prefix| number.starts_with(prefix.as_str())).map(String::len).max()
}

/// Every way for SMS to go out, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes(Vec<Route>);

impl Default for Routes {
    /// One way for all numbers.
    fn default() -> Self {
        Self(vec![Route::default()])
    }
}

impl Routes {
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }

    /// Those that a number may take; those with the longest prefix come first.
    pub fn of(&self, number: &str) -> Vec<&Route> {
        let mut fitting: Vec<(usize, &Route)> =
            self.0.iter().filter_map(|route| Some((fits(&route.prefixes, number)?, route))).collect();
        fitting.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        fitting.into_iter().map(|(_, route)| route).collect()
    }

    /// Whether a number has any.
    pub fn cover(&self, number: &str) -> bool {
        self.0.iter().any(|route| fits(&route.prefixes, number).is_some())
    }

    /// The line from which a number gets messages of this purpose, unless another provider takes over.
    pub fn line(&self, number: &str, purpose: Purpose) -> Option<&Line> {
        let mut best: Option<(usize, &Line)> = None;
        for route in &self.0 {
            let (Some(length), Some(line)) = (fits(&route.prefixes, number), line_for(&route.lines, purpose)) else {
                continue;
            };
            if best.is_none_or(|(longest, _)| length > longest) {
                best = Some((length, line));
            }
        }
        best.map(|(_, line)| line)
    }

    /// A beginning of a number for each choice of routes that there is; empty: of any other number.
    pub fn starts(&self) -> Vec<&str> {
        let mut starts: Vec<&str> = self.0.iter().flat_map(|route| &route.prefixes).map(String::as_str).collect();
        if self.0.iter().any(|route| route.prefixes.is_empty()) {
            starts.push("");
        }
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides_the_line() {
        let route = |provider: &str, prefixes: &[&str], line: &str| Route {
            provider: provider.to_owned(),
            prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
            lines: vec![Line::plain(line, Purpose::Marketing)],
        };
        let routes = Routes::new(vec![
            route("world", &["+1", "+44"], "1"),
            route("iran", &["+98"], "2"),
            route("irancell", &["+98935", "+98936"], "3"),
            route("second", &["+98"], "4"),
        ]);
        let check = |number: &str, providers: &[&str], line: Option<&str>| {
            let found: Vec<&str> = routes.of(number).iter().map(|route| route.provider.as_str()).collect();
            assert_eq!(found, providers, "{number}");
            assert_eq!(routes.cover(number), !providers.is_empty(), "{number}");
            let found = routes.line(number, Purpose::Marketing).map(|line| line.number.as_str());
            assert_eq!(found, line, "{number}");
            assert_eq!(routes.line(number, Purpose::Service), None);
        };
        check("+989121234567", &["iran", "second"], Some("2"));
        check("+989351234567", &["irancell", "iran", "second"], Some("3"));
        check("+447911123456", &["world"], Some("1"));
        check("+33123456789", &[], None);
        assert_eq!(routes.starts(), ["+1", "+44", "+98", "+98935", "+98936"]);
        assert_eq!(Routes::default().starts(), [""]);
        assert!(Routes::default().cover("+33123456789"));
    }
}
