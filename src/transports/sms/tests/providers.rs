//! Every description of `config/providers/`: the calls as they are documented, and what each listed
//! code means. The expected outcomes stand here a second time on purpose.

use std::collections::BTreeSet;

use wiremock::Request;

use super::*;

/// A provider under test: what it needs from the settings, the call of a text (method, path, body or
/// query), an answer that takes it with the reference in it, how a code is answered, and the outcomes.
struct Case {
    name: &'static str,
    description: &'static str,
    credentials: &'static [(&'static str, &'static str)],
    call: [&'static str; 3],
    headers: &'static [(&'static str, &'static str)],
    taken: (u16, &'static str, &'static str),
    /// HTTP status and body for a code; `{}` is the code.
    answer: fn(&str) -> (u16, String),
    outcomes: &'static [(&'static str, &'static str)],
}

/// The codes that each outcome is for.
const CASES: &[Case] = &[
    Case {
        name: "smsir",
        description: include_str!("../../../../config/providers/smsir.yaml"),
        credentials: &[("api_key", "s3cret-key")],
        call: ["POST", "/v1/send/bulk", r#"{"lineNumber":3000,"messageText":"سلام سارا","mobiles":["09121234567"]}"#],
        headers: &[("x-api-key", "s3cret-key"), ("content-type", "application/json")],
        taken: (
            200,
            r#"{"status":1,"message":"موفق","data":{"packId":"2b99e63c-9bf8","messageIds":[86522023],"cost":2.0}}"#,
            "86522023",
        ),
        answer: |code| match code.parse::<u16>() {
            Ok(status) if status >= 400 => (status, "{}".to_owned()),
            _ => (400, format!(r#"{{"status":{code},"message":"09121234567","data":null}}"#)),
        },
        outcomes: &[
            ("retry", "20 124 429"),
            ("uncertain", "0 500"),
            ("pause 900", "10 11 12 13 14 15 102 119 123 401"),
            ("our_fault", "16 101 103 105 106 107 108 109 110 111 112 113 114 116 118"),
            ("bad_recipient", "104"),
            ("message_refused", "117"),
            ("refused suppress", "115"),
            ("sent -", "1"),
        ],
    },
    Case {
        name: "melipayamak",
        description: include_str!("../../../../config/providers/melipayamak.yaml"),
        credentials: &[("username", "shop"), ("password", "s3cret")],
        call: [
            "POST",
            "/api/SendSMS/SendSMS",
            "username=shop&password=s3cret&to=09121234567&from=3000\
             &text=%D8%B3%D9%84%D8%A7%D9%85+%D8%B3%D8%A7%D8%B1%D8%A7&isflash=false",
        ],
        headers: &[("content-type", "application/x-www-form-urlencoded")],
        taken: (200, r#"{"Value":"4750842873645","RetStatus":1,"StrRetStatus":"Ok"}"#, "4750842873645"),
        answer: |code| (200, format!(r#"{{"Value":"{code}","RetStatus":{code},"StrRetStatus":"x"}}"#)),
        outcomes: &[
            ("pause 900", "0 2 3 4 10 12 19 108 109 110 -1 -108 -109 -110"),
            ("retry", "6"),
            ("uncertain", "-6"),
            ("our_fault", "5 9 16 17 -2 -3 -4 -5 -7 77"),
            ("message_refused", "7 14 15 -10"),
            ("refused", "11"),
            ("bad_recipient", "18"),
            ("refused suppress", "35"),
            ("sent 1", "1"),
        ],
    },
    Case {
        name: "ghasedak",
        description: include_str!("../../../../config/providers/ghasedak.yaml"),
        credentials: &[("api_key", "s3cret-key")],
        call: [
            "POST",
            "/Rest/api/v1/WebService/SendSingleSMS",
            r#"{"clientReferenceId":"4381636308810498135","lineNumber":"3000","message":"سلام سارا","receptor":"09121234567"}"#,
        ],
        headers: &[("apikey", "s3cret-key")],
        taken: (
            200,
            r#"{"isSuccess":true,"statusCode":200,"message":"","data":{"receptors":"0912","messageId":"4248"}}"#,
            "4248",
        ),
        answer: |code| match code {
            "false" => (200, r#"{"isSuccess":false,"statusCode":200}"#.to_owned()),
            _ => (200, format!(r#"{{"isSuccess":false,"statusCode":{code},"message":"سارا"}}"#)),
        },
        outcomes: &[
            ("refused", "200 false"),
            ("our_fault", "400 404 406 412"),
            ("pause 900", "401 402 403 418"),
            ("retry", "409 429"),
            // 599 is not listed, and says nothing about the message.
            ("uncertain", "500 599"),
            ("message_refused", "422"),
        ],
    },
    Case {
        name: "twilio",
        description: include_str!("../../../../config/providers/twilio.yaml"),
        credentials: &[("account_sid", "AC1"), ("auth_token", "s3cret")],
        call: [
            "POST",
            "/2010-04-01/Accounts/AC1/Messages.json",
            "To=%2B989121234567&From=3000&Body=%D8%B3%D9%84%D8%A7%D9%85+%D8%B3%D8%A7%D8%B1%D8%A7\
             &StatusCallback=http%3A%2F%2F127.0.0.1%3A8080%2Fhooks%2Ftwilio\
             %3Fmessage%3D01890a5d-ac96-774b-bcce-b302099a8057",
        ],
        headers: &[("authorization", "Basic QUMxOnMzY3JldA==")],
        taken: (201, r#"{"sid":"SM0123","status":"queued","error_code":null}"#, "SM0123"),
        answer: |code| match code.len() {
            3 => (code.parse().unwrap(), "{}".to_owned()),
            _ => (400, format!(r#"{{"code":{code},"message":"+989121234567","status":400}}"#)),
        },
        outcomes: &[
            ("sent -", "201"),
            ("pause 900", "20003 20005 20008 30002 30037 30454 63038 401 403"),
            (
                "our_fault",
                "20404 21212 21601 21602 21603 21604 21606 21609 21617 21619 21659 21660 21910 400 404 21999",
            ),
            ("retry", "20429 20503 21611 21730 30001 30022 429 503"),
            ("uncertain", "20500 500"),
            ("bad_recipient", "21211 21614 21635"),
            ("refused", "21408 21608 21612"),
            ("refused suppress", "21610"),
        ],
    },
    Case {
        name: "vonage",
        description: include_str!("../../../../config/providers/vonage.yaml"),
        credentials: &[("api_key", "k1"), ("api_secret", "s3cret"), ("signature_secret", "signs")],
        call: [
            "POST",
            "/sms/json",
            "api_key=k1&api_secret=s3cret&from=3000&to=989121234567\
             &text=%D8%B3%D9%84%D8%A7%D9%85+%D8%B3%D8%A7%D8%B1%D8%A7&type=unicode\
             &client-ref=01890a5d-ac96-774b-bcce-b302099a8057\
             &callback=http%3A%2F%2F127.0.0.1%3A8080%2Fhooks%2Fvonage",
        ],
        headers: &[],
        taken: (
            200,
            r#"{"message-count":"1","messages":[{"to":"98","message-id":"0C000000217B7F02","status":"0"}]}"#,
            "0C000000217B7F02",
        ),
        answer: |code| match code.len() {
            3 => (code.parse().unwrap(), String::new()),
            _ => (200, format!(r#"{{"messages":[{{"status":"{code}","error-text":"سارا"}}]}}"#)),
        },
        outcomes: &[
            ("sent -", "0"),
            ("retry", "1 10 429"),
            ("uncertain", "5"),
            ("our_fault", "2 12 15 22 23 99"),
            ("bad_recipient", "3 33"),
            ("pause 900", "4 8 9 11 14 32 401"),
            ("refused", "6 7 29"),
        ],
    },
    Case {
        name: "plivo",
        description: include_str!("../../../../config/providers/plivo.yaml"),
        credentials: &[("auth_id", "MA1"), ("auth_token", "s3cret")],
        call: [
            "POST",
            "/v1/Account/MA1/Message/",
            r#"{"dst":"989121234567","src":"3000","text":"سلام سارا","url":"http://127.0.0.1:8080/hooks/plivo?message=01890a5d-ac96-774b-bcce-b302099a8057"}"#,
        ],
        headers: &[("authorization", "Basic TUExOnMzY3JldA==")],
        taken: (
            202,
            r#"{"message":"message(s) queued","message_uuid":["db3ce55a-7f1d-11e1"],"api_id":"x"}"#,
            "db3ce55a-7f1d-11e1",
        ),
        answer: |code| (code.parse().unwrap(), r#"{"error":"سارا"}"#.to_owned()),
        outcomes: &[
            ("sent -", "202"),
            ("our_fault", "400 404 405"),
            ("pause 900", "401 402 403"),
            ("retry", "429 503"),
            // What is in front of the API, and nobody knows.
            ("uncertain", "500 502 504"),
        ],
    },
    Case {
        name: "messagebird",
        description: include_str!("../../../../config/providers/messagebird.yaml"),
        credentials: &[("access_key", "s3cret"), ("signing_key", "signs")],
        call: [
            "POST",
            "/messages",
            "recipients=989121234567&originator=3000&body=%D8%B3%D9%84%D8%A7%D9%85+%D8%B3%D8%A7%D8%B1%D8%A7\
             &datacoding=auto&reference=01890a5d-ac96-774b-bcce-b302099a8057\
             &reportUrl=http%3A%2F%2F127.0.0.1%3A8080%2Fhooks%2Fmessagebird",
        ],
        headers: &[("authorization", "AccessKey s3cret")],
        taken: (
            201,
            r#"{"id":"e8077d803532c0b5937c639b60216938","recipients":{"items":[{"recipient":98,"status":"sent"}]}}"#,
            "e8077d803532c0b5937c639b60216938",
        ),
        answer: |code| match code {
            "delivery_failed" => {
                (201, r#"{"id":"e8","recipients":{"items":[{"status":"delivery_failed"}]}}"#.to_owned())
            }
            "201" | "401" | "404" | "405" | "422" | "429" | "500" | "503" => (code.parse().unwrap(), "{}".to_owned()),
            _ => (422, format!(r#"{{"errors":[{{"code":{code},"description":"سارا"}}]}}"#)),
        },
        outcomes: &[
            ("sent -", "201"),
            ("pause 900", "2 25 401"),
            ("our_fault", "9 10 20 21 98 404 405 422 12"),
            ("retry", "429 503"),
            ("uncertain", "99 500"),
            ("refused", "delivery_failed"),
        ],
    },
    Case {
        name: "kannel",
        description: include_str!("../../../../config/providers/kannel.yaml"),
        credentials: &[("username", "shop"), ("password", "s3cret"), ("webhook_key", "0123456789abcdef")],
        call: [
            "GET",
            "/cgi-bin/sendsms",
            "username=shop&password=s3cret&from=3000&to=%2B989121234567\
             &text=%D8%B3%D9%84%D8%A7%D9%85+%D8%B3%D8%A7%D8%B1%D8%A7&charset=UTF-8&coding=2&dlr-mask=27\
             &dlr-url=http%3A%2F%2F127.0.0.1%3A8080%2Fhooks%2Fkannel%3Fkey%3D0123456789abcdef\
             %26message%3D01890a5d-ac96-774b-bcce-b302099a8057%26dlr%3D%25d",
        ],
        headers: &[],
        taken: (202, "0: Accepted for delivery", "-"),
        answer: |code| match code {
            "0" => (202, "0: Accepted for delivery".to_owned()),
            "3" => (202, "3: Queued for later delivery".to_owned()),
            _ => (code.parse().unwrap(), "Authorization failed for sendsms".to_owned()),
        },
        outcomes: &[("sent -", "0 3 202"), ("our_fault", "400 404"), ("pause 900", "403"), ("retry", "503")],
    },
];

fn provider(case: &Case) -> Provider {
    Provider::parse(case.name, case.description).unwrap_or_else(|problems| panic!("{problems}"))
}

fn factory_of(case: &Case, base_url: &str) -> SmsFactory {
    tls();
    let credentials = case.credentials.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into()));
    let options = SmsOptions {
        credentials: credentials.collect(),
        public_url: "http://127.0.0.1:8080".to_owned(),
        ..options(base_url)
    };
    SmsFactory::new(provider(case), options).unwrap_or_else(|error| panic!("{error}"))
}

async fn answering_all(status: u16, body: &str) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).set_body_raw(body.to_owned(), "application/json");
    Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&server).await;
    server
}

/// Method, path and what the call says.
fn said(request: &Request) -> [String; 3] {
    let body = String::from_utf8(request.body.clone()).unwrap();
    let said = if body.is_empty() { request.url.query().unwrap_or_default().to_owned() } else { body };
    [request.method.to_string(), request.url.path().to_owned(), said]
}

#[tokio::test]
async fn every_description_makes_the_documented_call_and_knows_its_answer() {
    for case in CASES {
        let (status, body, reference) = case.taken;
        let server = answering_all(status, body).await;
        let outcome = send(&factory_of(case, &server.uri()), &text()).await;
        assert_eq!(word(&outcome), format!("sent {reference}"), "{}", case.name);
        let requests = server.received_requests().await.unwrap();
        assert_eq!(said(&requests[0]), case.call, "{}", case.name);
        for (name, value) in case.headers {
            assert_eq!(requests[0].headers.get(*name).unwrap(), value, "{} {name}", case.name);
        }
        assert!(!format!("{:?}", factory_of(case, &server.uri()).0.options).contains("s3cret"));
    }
}

#[tokio::test]
async fn every_listed_code_has_its_outcome() {
    for case in CASES {
        let mut tested = BTreeSet::new();
        for (expected, codes) in case.outcomes {
            for code in codes.split(' ') {
                let (status, body) = (case.answer)(code);
                let server = answering_all(status, &body).await;
                let outcome = send(&factory_of(case, &server.uri()), &text()).await;
                assert_eq!(word(&outcome), *expected, "{} {code}", case.name);
                tested.insert(code.to_owned());
            }
        }
        let reply = provider(case).reply;
        let listed = reply.call.codes.iter().chain(reply.message.iter().flat_map(|message| &message.codes));
        let missing: Vec<&String> =
            listed.map(|(code, _)| code).filter(|code| !tested.contains(*code) && *code != "null").collect();
        assert!(missing.is_empty(), "{}: no test for {missing:?}", case.name);
    }
}

#[tokio::test]
async fn a_lost_answer_is_uncertain_where_the_call_cannot_be_repeated() {
    for case in CASES {
        let in_front = ["", " \n", "<html>", "\r\n<!DOCTYPE html>"];
        // Kannel speaks plain text itself.
        let words = ["upstream connect error", "\"busy\"", "503"].into_iter().filter(|_| case.name != "kannel");
        for body in in_front.into_iter().chain(words) {
            for status in [200, 201, 202, 500, 502, 503, 504, 520] {
                let server = answering_all(status, body).await;
                let outcome = send(&factory_of(case, &server.uri()), &text()).await;
                // A body that is empty says nothing, but the status does where it is all that is described.
                let taken = case.name == "kannel" && status == 202 && body.trim().is_empty();
                let expected = if taken { "sent -" } else { "uncertain" };
                assert_eq!(word(&outcome), expected, "{} {status} {body}", case.name);
            }
        }
    }
}

#[tokio::test]
async fn a_bulk_of_smsir_can_fail_for_its_one_number() {
    let case = &CASES[0];
    for (ids, expected) in [("[0]", "refused suppress"), ("[null]", "bad_recipient"), ("[7]", "sent 7")] {
        let server = answering_all(200, &format!(r#"{{"status":1,"data":{{"messageIds":{ids}}}}}"#)).await;
        assert_eq!(word(&send(&factory_of(case, &server.uri()), &text()).await), expected, "{ids}");
    }
}

#[tokio::test]
async fn patterns_are_the_documented_calls() {
    let order = [("CODE", "852596"), ("NAME", "سارا احمدی")];
    let calls = [
        (
            "smsir",
            "/v1/send/verify",
            r#"{"mobile":"09121234567","parameters":[{"name":"CODE","value":"852596"},{"name":"NAME","value":"سارا احمدی"}],"templateId":123456}"#,
            r#"{"status":1,"data":{"messageId":89545112,"cost":1.0}}"#,
            "sent 89545112",
        ),
        (
            "melipayamak",
            "/api/SendSMS/BaseServiceNumber",
            "username=shop&password=s3cret\
             &text=852596%3B%D8%B3%D8%A7%D8%B1%D8%A7+%D8%A7%D8%AD%D9%85%D8%AF%DB%8C&to=09121234567&bodyId=123456",
            r#"{"Value":"4750842873646","RetStatus":1,"StrRetStatus":"Ok"}"#,
            "sent 4750842873646",
        ),
        (
            "ghasedak",
            "/Rest/api/v1/WebService/SendOtpSMS",
            r#"{"inputs":[{"param":"CODE","value":"852596"},{"param":"NAME","value":"سارا احمدی"}],"receptors":[{"clientReferenceId":"4381636308810498135","mobile":"09121234567"}],"templateName":"123456"}"#,
            r#"{"isSuccess":true,"statusCode":200,"data":{"items":[{"messageId":"4249"}]}}"#,
            "sent 4249",
        ),
    ];
    for (name, path, said_there, answer, expected) in calls {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        let server = answering_all(200, answer).await;
        let values = order.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let words = SmsWords::Pattern { template: "123456".to_owned(), values };
        let message = envelope(Content::sms([(String::new(), words)]));
        assert_eq!(word(&send(&factory_of(case, &server.uri()), &message).await), expected, "{name}");
        let requests = server.received_requests().await.unwrap();
        assert_eq!(said(&requests[0])[1..], [path.to_owned(), said_there.to_owned()], "{name}");
    }
}

#[test]
fn the_values_of_a_pattern_are_looked_at_before_anything_goes_out() {
    let check = |description: &str, value: (&str, &str), expected: Option<&str>| {
        let provider = Provider::parse("x", description).unwrap();
        let found = provider.pattern.unwrap().check_values(&[(value.0.to_owned(), value.1.to_owned())]).err();
        match (found, expected) {
            (found, None) => assert_eq!(found, None, "{value:?}"),
            (Some(found), Some(expected)) => {
                assert!(found.contains(expected), "{found}");
                assert!(!found.contains(value.1.trim()) || value.1.trim().is_empty(), "{found}");
            }
            (None, Some(expected)) => panic!("{value:?}: not refused, {expected}"),
        }
    };
    check(KAVENEGAR, ("token", "852596"), None);
    check(KAVENEGAR, ("token", "85 96"), Some("`token` holds a space or a line break"));
    check(KAVENEGAR, ("token", "85\u{a0}96"), Some("`token` holds a space"));
    check(KAVENEGAR, ("token", &"x".repeat(101)), Some("`token` has more than the 100 characters"));
    check(KAVENEGAR, ("token", " "), Some("`token` is empty"));
    check(KAVENEGAR, ("token10", "a b c d e f"), Some("the pattern value `token` is missing"));
    check(KAVENEGAR, ("token10", "a b c d e f g"), Some("`token10` holds a line break, or more than the 5 spaces"));
    check(KAVENEGAR, ("token10", "a\nb"), Some("`token10` holds a line break"));
    check(CASES[0].description, ("NAME", &"س".repeat(25)), None);
    check(CASES[0].description, ("NAME", &"س".repeat(26)), Some("`NAME` has more than the 25 characters"));
    check(CASES[1].description, ("0", "a;b"), Some("`0` holds `;`, which separates the values"));
}

#[tokio::test]
async fn receipts_and_messages_are_read_as_they_are_answered() {
    let server = MockServer::start().await;
    let answer = |path_: &str, body: &str| {
        let answer = ResponseTemplate::new(200).set_body_raw(body.to_owned(), "application/json");
        Mock::given(path(path_.to_owned())).respond_with(answer).mount(&server)
    };
    let key = "4B%2Fs3cret%3D";
    answer(
        &format!("/v1/{key}/sms/status.json"),
        r#"{"return":{"status":200},"entries":[{"messageid":85463238,"status":10},{"messageid":2,"status":4}]}"#,
    )
    .await;
    answer(
        &format!("/v1/{key}/sms/receive.json"),
        r#"{"return":{"status":200},"entries":[{"messageid":35850015,"message":"لغو۱۱","sender":"09123456789","receptor":"30002225","date":1357206241}]}"#,
    )
    .await;
    let factory = factory(&server.uri());
    let receipts = factory.receipts(&["85463238".to_owned(), "2".to_owned()]).await.unwrap();
    let pairs: Vec<_> = receipts.iter().map(|r| (r.reference.as_deref().unwrap(), r.status.as_str())).collect();
    assert_eq!(pairs, [("85463238", "10"), ("2", "4")]);
    let received = factory.inbox("30002225").await.unwrap();
    assert_eq!((received[0].from.as_str(), received[0].text.as_str()), ("09123456789", "لغو۱۱"));
    assert_eq!(received[0].at, Some(crate::domain::instant(1_357_206_241_000)));
    let queries: Vec<String> =
        server.received_requests().await.unwrap().iter().map(|r| r.url.query().unwrap().to_owned()).collect();
    assert_eq!(queries, ["messageid=85463238%2C2", "linenumber=30002225&isread=0"]);
    // One that answers about the one message it was asked about.
    let case = CASES.iter().find(|case| case.name == "melipayamak").unwrap();
    let server = answering_all(200, r#"{"Value":"1","RetStatus":1}"#).await;
    let found = factory_of(case, &server.uri()).receipts(&["77".to_owned()]).await.unwrap();
    assert_eq!((found[0].reference.as_deref(), found[0].status.as_str()), (Some("77"), "1"));
}

#[test]
fn a_number_is_blocked_only_where_a_receipt_says_so_for_certain() {
    let check = |name: &str, receipt: &str, expected: Delivery| {
        let provider = provider(CASES.iter().find(|case| case.name == name).unwrap());
        let places = provider.webhook.unwrap().receipt.unwrap();
        let read = places.read(&serde_json::from_str(receipt).unwrap(), &provider.delivery);
        let found = provider.delivery.iter().find(|(status, _)| *status == read[0].status).map(|(_, found)| *found);
        assert_eq!(found, Some(expected), "{name} {receipt}");
    };
    check("vonage", r#"{"status":"failed","err-code":"9"}"#, Delivery::Blocked);
    check("vonage", r#"{"status":"rejected","err-code":"4"}"#, Delivery::Undelivered);
    check("vonage", r#"{"status":"delivered","err-code":"0"}"#, Delivery::Delivered);
    check("plivo", r#"{"Status":"failed","ErrorCode":"200"}"#, Delivery::Blocked);
    check("plivo", r#"{"Status":"undelivered","ErrorCode":"30"}"#, Delivery::Undelivered);
    check("twilio", r#"{"MessageStatus":"failed","ErrorCode":"21610"}"#, Delivery::Blocked);
    check("twilio", r#"{"MessageStatus":"undelivered","ErrorCode":"30004"}"#, Delivery::Undelivered);
    check("ghasedak", r#"{"status":12}"#, Delivery::Blocked);
    // Its documentation and its libraries read these in different ways.
    for status in [2, 4, 5, 7, 8] {
        check("ghasedak", &format!(r#"{{"status":{status}}}"#), Delivery::UnderWay);
    }
}

#[tokio::test]
async fn a_question_by_our_own_reference_is_answered_or_not() {
    let message = text().message;
    let check = async |entries: &str, expected: Found| {
        let body = format!(r#"{{"return":{{"status":200}},"entries":{entries}}}"#);
        let server = answering_all(200, &body).await;
        assert_eq!(factory(&server.uri()).ask(message).await.unwrap(), expected, "{entries}");
        let request = &server.received_requests().await.unwrap()[0];
        assert_eq!(request.url.query(), Some("localid=4381636308810498135"));
    };
    let has = |status: &str| Found::Has { reference: Some("7".to_owned()), status: status.to_owned() };
    check(r#"[{"messageid":7,"localid":4381636308810498135,"status":10}]"#, has("10")).await;
    check(r#"[{"messageid":7,"localid":"4381636308810498135","status":1}]"#, has("1")).await;
    check(r#"[{"messageid":0,"localid":4381636308810498135,"status":100}]"#, Found::HasNot).await;
    // Neither of these says that it was not taken.
    check(r#"[{"messageid":7,"localid":5,"status":100}]"#, Found::Unclear).await;
    check(r#"[{"messageid":7,"localid":4381636308810498135,"status":77}]"#, Found::Unclear).await;
    check("[]", Found::Unclear).await;
    check("null", Found::Unclear).await;
    let server = answering_all(200, "<html>").await;
    let error = factory(&server.uri()).ask(message).await.unwrap_err();
    assert_eq!(error, "HTTP 200 with an answer that is no JSON");
}

#[test]
fn a_key_that_stands_in_a_url_is_long_and_plain() {
    tls();
    let case = CASES.iter().find(|case| case.name == "kannel").unwrap();
    for key in ["short", "0123456789abcde%", "0123456789 abcdef"] {
        let mut options = options("http://127.0.0.1:1");
        options.public_url = "http://127.0.0.1:8080".to_owned();
        options.credentials = [("username", "u"), ("password", "p"), ("webhook_key", key)]
            .map(|(name, value)| (name.to_owned(), value.to_owned().into()))
            .into();
        let error = SmsFactory::new(provider(case), options).err().unwrap().to_string();
        assert!(error.contains("`webhook_key` of `kannel`") && !error.contains(key), "{error}");
    }
}
