//! Campaign files: what their YAML says, as far as it decides what is sent.

use chrono::NaiveTime;
use serde_json::Value;

use super::brand::is_after;
use super::calendar::Moment;
use super::keys::{Keys, millionths, share, span, time_of_day};
use super::{DAY, HOUR, World, audience};

pub struct Campaign {
    pub name: String,
    pub(super) is_live: bool,
    pub(super) is_marketing: bool,
    pub(super) trigger: Trigger,
    /// Without it, the campaign begins with the first pass.
    pub(super) starts_at: Option<Moment>,
    pub(super) ends_at: Option<Moment>,
    pub(super) send_at: Option<NaiveTime>,
    /// The first message comes so much later at most.
    pub(super) spread: i64,
    pub(super) backfill: Option<Backfill>,
    pub(super) audience: Option<Value>,
    pub(super) channels: Vec<String>,
    pub(super) reaches_all: bool,
    pub(super) is_exempt: bool,
    pub(super) priority: i64,
    /// A message is too late so long after it could first go; `None`: never.
    pub(super) send_within: Option<i64>,
    pub(super) holdout: f64,
    /// Whether addresses are divided, not members.
    pub(super) divides_addresses: bool,
    pub(super) variants: Vec<Variant>,
    /// The first is `main`; its `after` is the trigger's delay.
    pub(super) steps: Vec<Step>,
}

pub enum Trigger {
    Welcome,
    Birthday {
        days_before: u32,
        leap_after: bool,
    },
    Anniversary {
        of: Since,
        years: Option<Vec<i32>>,
        leap_after: bool,
    },
    Date {
        attribute: String,
        every_year: bool,
        days_before: u32,
        leap_after: bool,
    },
    Occasion {
        name: String,
        days_before: u32,
        leap_after: Option<bool>,
    },
    PostPurchase {
        nth: Option<usize>,
        min_amount: Option<i128>,
        from_delivery: bool,
        /// In lower case.
        items: Option<Vec<String>>,
        categories: Option<Vec<String>>,
        collapse: i64,
    },
    AtRisk(Lag),
    NeverBought {
        after: i64,
    },
    Broadcast {
        at: Moment,
    },
}

/// What an anniversary counts from.
pub enum Since {
    Joining,
    FirstPurchase,
    Attribute(String),
}

/// How long after a purchase a member is at risk.
pub enum Lag {
    After(i64),
    Rhythm { times: f64, limits: (i64, i64), fallback: Option<i64> },
    Probability { below: f64, limits: (i64, i64), fallback: Option<i64> },
}

pub struct Backfill {
    pub up_to: i64,
    pub per_day: i64,
}

pub struct Step {
    pub id: String,
    pub after: i64,
    pub unless_goal: bool,
    pub coupon: Option<Coupon>,
}

/// What some members get as the first step.
pub struct Variant {
    pub name: String,
    pub share: f64,
    /// Not before this time of day.
    pub send_at: Option<NaiveTime>,
    pub coupon: Option<Coupon>,
}

/// What a step takes out of a pool.
#[derive(Clone)]
pub struct Coupon {
    pub pool: String,
    /// Without it, the message is not sent.
    pub is_needed: bool,
}

impl Coupon {
    /// Reads the key `gift`; points need no pool.
    fn read(keys: &mut Keys) -> Option<Coupon> {
        let mut gift = Keys(keys.get("gift")?);
        let is_needed = !gift.is("when_empty", "send_without", &["skip"]);
        if gift.get::<u64>("points").is_some() {
            gift.end(&[]);
            return None;
        }
        let mut coupon = gift.map("coupon");
        gift.end(&[]);
        let pool = coupon.need("pool");
        coupon.end(&["value", "valid_days"]);
        Some(Coupon { pool, is_needed })
    }
}

impl Variant {
    /// Reads the key `variants`; what one does not say is as in the campaign.
    fn read(experiment: &mut Keys, own: Option<&Coupon>) -> Vec<Variant> {
        let all: Vec<_> = experiment.get("variants").unwrap_or_default();
        let equal = 1.0 / all.len() as f64;
        let read = |one| {
            let mut keys = Keys(one);
            let gives = keys.0.contains_key("gift");
            let coupon = Coupon::read(&mut keys);
            let variant = Variant {
                name: keys.need("name"),
                share: keys.get("share").map_or(equal, share),
                send_at: keys.get("send_at").map(time_of_day),
                coupon: if gives { coupon } else { own.cloned() },
            };
            keys.end(&["content", "subject"]);
            variant
        };
        all.into_iter().map(read).collect()
    }
}

impl Campaign {
    pub fn from_yaml(yaml: &str) -> Campaign {
        let mut keys = Keys::read(yaml);
        let mut trigger = keys.map("trigger");
        let mut schedule = keys.map("schedule");
        let mut limits = keys.map("limits");
        let mut experiment = keys.map("experiment");
        let after = trigger.get("delay").map_or(0, span);
        let coupon = Coupon::read(&mut keys);
        let mut steps = vec![Step { id: "main".to_string(), after, unless_goal: false, coupon }];
        for step in keys.get::<Vec<_>>("steps").unwrap_or_default() {
            let mut step = Keys(step);
            let unless: Vec<String> = step.get("unless").unwrap_or_default();
            assert!(unless.iter().all(|word| word == "goal"), "{unless:?}");
            steps.push(Step {
                id: step.need("id"),
                after: span(step.need("after")),
                unless_goal: !unless.is_empty(),
                coupon: Coupon::read(&mut step),
            });
            step.end(&["content"]);
        }
        let campaign = Campaign {
            name: keys.need("name"),
            is_live: keys.is("status", "live", &["draft", "paused"]),
            is_marketing: !keys.is("purpose", "service", &["marketing"]),
            trigger: Trigger::read(&mut trigger, keys.get("collapse").map(span)),
            starts_at: keys.get("starts_at").map(Moment::read),
            ends_at: keys.get("ends_at").map(Moment::read),
            send_at: schedule.get("send_at").map(time_of_day),
            spread: keys.get("spread").map_or(0, span),
            backfill: keys.0.contains_key("backfill").then(|| {
                let mut backfill = keys.map("backfill");
                let read = Backfill { up_to: span(backfill.need("up_to")), per_day: backfill.need("per_day") };
                backfill.end(&[]);
                read
            }),
            audience: keys.get("audience"),
            channels: keys.need("channels"),
            reaches_all: keys.is("reach", "all", &["first"]),
            is_exempt: limits.is("frequency_cap", "exempt", &["counts"]),
            priority: limits.get("priority").unwrap_or(0),
            send_within: match limits.get::<Value>("late") {
                None => Some(DAY),
                Some(Value::String(word)) if word == "skip" => Some(HOUR),
                Some(Value::String(word)) if word == "always" => None,
                Some(late) => Some(span(late["send_within"].as_str().expect("send_within").to_string())),
            },
            holdout: experiment.get("holdout").map_or(0.0, share),
            divides_addresses: experiment.is("holdout_by", "address", &["member"]),
            variants: Variant::read(&mut experiment, steps[0].coupon.as_ref()),
            steps,
        };
        let known = |channel: &String| channel == "email" || channel == "sms";
        assert!(campaign.channels.iter().all(known), "channels");
        let spreads = matches!(campaign.trigger, Trigger::Broadcast { .. } | Trigger::Occasion { .. });
        assert!(campaign.spread == 0 || spreads, "spread is for broadcasts and occasions");
        let is_broadcast = matches!(campaign.trigger, Trigger::Broadcast { .. });
        assert!(campaign.backfill.is_none() || !is_broadcast, "no backfill of a broadcast");
        trigger.end(&[]);
        schedule.end(&["scan"]);
        limits.end(&["ceiling"]);
        experiment.end(&["goal", "window"]);
        keys.end(&["content"]);
        campaign
    }

    /// Panics where the audience or what it names cannot be understood.
    pub(super) fn check(&self, world: &World) {
        if let Some(rule) = &self.audience {
            audience::check(rule, world);
        }
        if let Trigger::Occasion { name, .. } = &self.trigger {
            world.occasions.dates(name, None);
        }
    }

    /// Whether a second message within half a year is one too many.
    pub(super) fn is_yearly(&self) -> bool {
        matches!(
            self.trigger,
            Trigger::Birthday { .. } | Trigger::Anniversary { .. } | Trigger::Date { every_year: true, .. }
        )
    }

    /// Whether members outside the audience leave no message at all.
    pub(super) fn leaves_no_trace(&self) -> bool {
        matches!(self.trigger, Trigger::Broadcast { .. } | Trigger::Occasion { .. })
    }
}

impl Trigger {
    fn read(keys: &mut Keys, collapse: Option<i64>) -> Trigger {
        let kind: String = keys.need("kind");
        assert!(collapse.is_none() || kind == "post_purchase", "collapse is for post_purchase");
        match kind.as_str() {
            "welcome" => Trigger::Welcome,
            "birthday" => Trigger::Birthday {
                days_before: keys.get("days_before").unwrap_or(0),
                leap_after: keys.get("leap_day").is_some_and(is_after),
            },
            "anniversary" => Trigger::Anniversary {
                of: match keys.get::<String>("of").as_deref() {
                    None | Some("joined_at") => Since::Joining,
                    Some("first_purchase") => Since::FirstPurchase,
                    Some(field) => Since::Attribute(attribute(field)),
                },
                years: keys.get("years"),
                leap_after: keys.get("leap_day").is_some_and(is_after),
            },
            "date" => Trigger::Date {
                attribute: attribute(&keys.need::<String>("field")),
                every_year: keys.is("every", "year", &["once"]),
                days_before: keys.get("days_before").unwrap_or(0),
                leap_after: keys.get("leap_day").is_some_and(is_after),
            },
            "occasion" => Trigger::Occasion {
                name: keys.need("occasion"),
                days_before: keys.get("days_before").unwrap_or(0),
                leap_after: keys.get("leap_day").map(is_after),
            },
            "post_purchase" => {
                let nth = match keys.get("orders") {
                    None => None,
                    Some(Value::String(word)) if word == "every" => None,
                    Some(Value::String(word)) if word == "first" => Some(1),
                    Some(other) => Some(other["nth"].as_u64().expect("nth") as usize),
                };
                assert!(collapse.is_none() || nth.is_none(), "collapse is for every order");
                Trigger::PostPurchase {
                    nth,
                    min_amount: keys.get("min_amount").map(|least: Value| millionths(&least)),
                    from_delivery: keys.is("from", "delivered_at", &["purchased_at"]),
                    items: keys.get("items").map(lower),
                    categories: keys.get("categories").map(lower),
                    collapse: collapse.unwrap_or(0),
                }
            }
            "at_risk" => {
                let lag = Lag::read(keys);
                match (keys.get("never_bought"), lag) {
                    (Some(true), Lag::After(after)) => Trigger::NeverBought { after },
                    (Some(true), _) => panic!("never_bought goes only with after"),
                    (_, lag) => Trigger::AtRisk(lag),
                }
            }
            "broadcast" => Trigger::Broadcast { at: Moment::read(keys.need("at")) },
            other => panic!("unknown trigger {other}"),
        }
    }
}

impl Lag {
    fn read(keys: &mut Keys) -> Lag {
        let after: Option<String> = keys.get("after");
        let is_there = |keys: &Keys, key: &str| keys.0.contains_key(key);
        let ways = [after.is_some(), is_there(keys, "rhythm"), is_there(keys, "probability")];
        assert!(ways.iter().filter(|&&way| way).count() == 1, "one of after, rhythm and probability");
        if let Some(after) = after {
            return Lag::After(span(after));
        }
        let fallback = keys.get("fallback").filter(|text: &String| text != "none").map(span);
        let (mut rhythm, mut probability) = (keys.map("rhythm"), keys.map("probability"));
        let limits = |keys: &mut Keys, least: i64| {
            let (floor, ceiling) = (keys.get("floor").map_or(least, span), keys.get("ceiling").map_or(365 * DAY, span));
            assert!(floor <= ceiling, "the floor is above the ceiling");
            (floor, ceiling)
        };
        let lag = if ways[1] {
            Lag::Rhythm { times: rhythm.need("times"), limits: limits(&mut rhythm, 14 * DAY), fallback }
        } else {
            Lag::Probability { below: probability.need("below"), limits: limits(&mut probability, DAY), fallback }
        };
        rhythm.end(&[]);
        probability.end(&[]);
        lag
    }
}

/// The whole name of an attribute.
fn attribute(field: &str) -> String {
    assert!(field.starts_with("attributes."), "unknown date {field}");
    field.to_string()
}

fn lower(words: Vec<String>) -> Vec<String> {
    words.iter().map(|word| word.to_lowercase()).collect()
}
