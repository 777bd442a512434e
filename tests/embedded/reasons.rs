//! Every reason for not sending has a rule of a contract that reaches it through the pipeline, on
//! every size.

use std::path::Path;

use rekindle::domain::message::Reason;

/// The contract and the rule in it; `None` for a reason that nothing gives yet. The compiler asks for a
/// new one.
fn rule(reason: Reason) -> Option<(&'static str, &'static str)> {
    Some(match reason {
        Reason::MemberDeleted => ("pipeline", "a_deleted_member_gets_nothing"),
        Reason::OutsideAudience => ("pipeline", "a_member_who_left_the_audience_gets_nothing"),
        Reason::GoalReached => ("pipeline", "a_member_who_bought_again_is_not_at_risk"),
        Reason::TooLate => ("pipeline", "a_message_that_could_not_go_in_time_is_too_late"),
        Reason::AlreadyGreeted => ("pipeline", "a_second_greeting_within_half_a_year_is_not_sent"),
        Reason::NoAddress => ("pipeline", "a_member_without_an_address_gets_nothing"),
        Reason::NoConsent => ("pipeline", "a_member_who_takes_consent_back_gets_nothing"),
        Reason::Suppressed => ("pipeline", "a_suppressed_address_gets_nothing"),
        Reason::SameAddress => ("people", "who_shares_an_address_gets_one_letter"),
        Reason::HeldOut => ("pipeline", "a_member_of_the_control_group_gets_nothing"),
        Reason::RestDay => ("days", "a_blackout_that_skips_ends_marketing_and_no_service_message"),
        Reason::FrequencyCap => ("pipeline", "the_frequency_cap_keeps_the_more_important_messages"),
        Reason::OrderCancelled => ("pipeline", "a_cancelled_order_is_not_thanked_for"),
        Reason::Collapsed => ("launching", "an_order_is_not_thanked_for_where_one_close_to_it_was"),
        Reason::CampaignEnded => ("pipeline", "a_campaign_that_ended_or_is_gone_sends_nothing_more"),
        Reason::Restored => ("mistakes", "what_fell_due_before_a_restored_backup_was_noticed_is_not_sent_again"),
        Reason::ByHand => ("mistakes", "what_a_person_cancels_is_not_sent_and_what_failed_is_tried_again"),
        Reason::RenderFailed => ("pipeline", "a_message_that_cannot_be_rendered_fails_alone"),
        Reason::Unbuildable => ("reasons", "what_cannot_be_made_into_a_mail_fails_alone_and_asks_no_server"),
        Reason::BadRecipient | Reason::Refused | Reason::MessageRefused | Reason::OurFault => {
            ("reasons", "what_a_provider_refuses_fails_with_its_reason")
        }
        Reason::RetriesExhausted => ("reasons", "what_is_retried_for_a_day_fails"),
        Reason::GiftUnavailable => ("gifts", "where_no_code_is_left_the_message_is_skipped"),
        // Budgets are not in this version.
        Reason::Budget => return None,
    })
}

#[test]
fn each_reason_has_a_rule_that_reaches_it() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let read = |path: &str| std::fs::read_to_string(tests.join(path)).unwrap();
    for reason in Reason::ALL {
        let Some((contract, rule)) = rule(*reason) else { continue };
        let text = read(&format!("contract/{contract}.rs"));
        let listed = text.lines().any(|line| line.trim() == rule);
        assert!(listed, "{reason}: `{rule}` is not in the list of the contract {contract}");
        let body = text.split(&format!("pub async fn {rule}(")).nth(1).unwrap();
        let body = body.split("\npub async fn ").next().unwrap();
        assert!(body.contains(reason.as_str()), "{reason}: `{rule}` does not ask for it");
        for size in ["embedded", "servers"] {
            let made = read(&format!("{size}/pipeline.rs")).contains(&format!("{contract}_contract!("));
            assert!(made, "{reason}: the contract {contract} is not tried on {size}");
        }
    }
}
