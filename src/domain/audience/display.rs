//! Filters in words.

use std::fmt::{Display, Formatter, Result};

use super::{Audience, Comparison, Field, Operand, Operator, Span};
use crate::domain::duration;

impl Display for Audience {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let join =
            |items: &[Self], word: &str| items.iter().map(|item| format!("({item})")).collect::<Vec<_>>().join(word);
        match self {
            Self::All(items) if items.is_empty() => f.write_str("everybody"),
            Self::Any(items) if items.is_empty() => f.write_str("nobody"),
            Self::All(items) => f.write_str(&join(items, " and ")),
            Self::Any(items) => f.write_str(&join(items, " or ")),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::Compare(comparison) => comparison.fmt(f),
            Self::Reachable(None) => f.write_str("reachable"),
            Self::Reachable(Some(channel)) => write!(f, "reachable by {channel}"),
            Self::Received(asked) => {
                write!(f, "received {}", asked.campaign)?;
                asked.within.map_or(Ok(()), |within| write!(f, " within {}", duration::display(within)))
            }
            Self::Segment(segment) => write!(f, "segment {}", segment.name),
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let values = self.operands.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let field = &self.field;
        match self.operator {
            Operator::Eq => write!(f, "{field} = {values}"),
            Operator::Ne => write!(f, "{field} ≠ {values}"),
            Operator::Gt => write!(f, "{field} > {values}"),
            Operator::Gte => write!(f, "{field} ≥ {values}"),
            Operator::Lt => write!(f, "{field} < {values}"),
            Operator::Lte => write!(f, "{field} ≤ {values}"),
            Operator::In => write!(f, "{field} in [{values}]"),
            Operator::NotIn => write!(f, "{field} not in [{values}]"),
            Operator::Exists(true) => write!(f, "{field} exists"),
            Operator::Exists(false) => write!(f, "{field} is missing"),
            Operator::OlderThan => write!(f, "{field} older than {values}"),
            Operator::NewerThan => write!(f, "{field} newer than {values}"),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Column(name) => f.write_str(name),
            Self::Attribute(name) => write!(f, "attributes.{name}"),
            Self::Rfm(measure) => write!(f, "rfm.{measure}"),
            Self::Prediction(prediction) => prediction.fmt(f),
            Self::Purchases(aggregate, Span::Within(length)) => {
                write!(f, "{aggregate} within {}", duration::display(*length))
            }
            Self::Purchases(aggregate, Span::Between { since, until }) => {
                write!(f, "{aggregate}")?;
                since.map_or(Ok(()), |at| write!(f, " since {}", at.format("%Y-%m-%dT%H:%M:%SZ")))?;
                until.map_or(Ok(()), |at| write!(f, " until {}", at.format("%Y-%m-%dT%H:%M:%SZ")))
            }
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Date(date) => write!(f, "{date}"),
            Self::Length(length) => f.write_str(&duration::display(*length)),
        }
    }
}
