use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::domain::client::ClientAddr;
use crate::domain::limits::advice::Advice;
use crate::domain::limits::attempt::{Attempt, Endpoint, LaneKind};
use crate::domain::limits::ledger::Draw;
use crate::domain::limits::policy::{Action, KeyKind, LaneFilter, LimitRule, RuleName};
use crate::domain::limits::{NameDigest, PASSWORDS_KNOWN_FOR, Quota};

const EXAMPLE: &str = include_str!("../../../config/limits.toml");

/// Everything that is wrong with a policy file, a line each.
fn complaints(text: &str) -> String {
    let problems = reading::read(text, Some(Path::new("limits.toml"))).expect_err("it is wrong");
    problems
        .iter()
        .fold(String::new(), |text, problem| text + &problem.to_string() + "\n")
}

fn policy(text: &str) -> Policy {
    parse(text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn names(policy: &Policy) -> Vec<&str> {
    policy.rules.iter().map(|rule| rule.name.as_str()).collect()
}

#[test]
fn the_example_file_is_what_the_preset_says_of_itself() {
    if std::env::var_os("SEKISHO_WRITE_EXAMPLE").is_some() {
        std::fs::write("config/limits.toml", documented()).unwrap();
        return;
    }
    assert_eq!(
        EXAMPLE,
        documented(),
        "write it again: SEKISHO_WRITE_EXAMPLE=1 cargo test --lib config::"
    );
}

#[test]
fn every_preset_written_out_reads_as_the_preset() {
    assert_eq!(policy(EXAMPLE), Preset::Standard.policy());
    for preset in Preset::ALL {
        assert_eq!(policy(&preset.documented()), preset.policy(), "{preset:?}");
        assert_eq!(policy(&format!("preset = {:?}", preset.as_str())), preset.policy());
        assert_eq!(super::preset(preset.as_str()), Some(preset.policy()));
        let lines = preset.documented();
        assert!(lines.lines().all(|line| line.chars().count() <= 100), "{lines}");
    }
    assert_eq!(super::preset("open"), None);
}

#[test]
fn the_presets_have_nothing_to_think_over_and_leave_no_endpoint_alone() {
    for preset in Preset::ALL {
        assert_eq!(preset.policy().advice(), [], "{preset:?}");
    }
    let warned = policy("preset = \"standard\"\nexempt = [\"0.0.0.0/0\"]").advice();
    assert_eq!(warned, [Advice::ExemptsEverybody("0.0.0.0/0".parse().unwrap())]);
}

#[test]
fn known_devices_and_sessions_share_no_bucket_of_an_account_with_strangers() {
    for preset in Preset::ALL {
        let policy = preset.policy();
        let draws = |endpoint, device: Option<u64>| {
            let client = ClientAddr::new("192.0.2.1".parse().unwrap());
            policy.draws(&Attempt {
                account: Some(NameDigest(1, 1)),
                device: device.map(|number| NameDigest(number, 2)),
                ..Attempt::new(endpoint, client)
            })
        };
        let names = |draws: &[Draw]| -> Vec<String> { draws.iter().map(|draw| draw.bucket.rule.to_string()).collect() };
        let stranger = draws(Endpoint::SignIn, None);
        let device = draws(Endpoint::SignIn, Some(1));
        assert_eq!(
            names(&stranger),
            [
                "sign-in.client",
                "sign-in.account",
                "sign-in.client+account",
                "sign-in.subnet",
                "sign-in.global"
            ]
        );
        assert_eq!(names(&device), ["sign-in.client", "sign-in.device"]);
        assert_eq!(
            names(&draws(Endpoint::ChangePassword, Some(1))),
            ["sign-in.client", "sign-in.session"]
        );
        assert_eq!(
            device.iter().filter(|draw| stranger.contains(draw)).count(),
            1,
            "that of the client"
        );
    }
}

#[test]
fn the_preset_standard_is_what_the_gateway_had_before_there_were_policies() {
    let standard = Preset::Standard.policy();
    let quota = |name: &str| {
        standard
            .rule(&RuleName::parse(name).unwrap())
            .unwrap()
            .quota
            .to_string()
    };
    for (name, expected) in [
        ("sign-in.client", "30 per 15m"),
        ("sign-in.account", "100 per 1h"),
        ("sign-in.client+account", "10 per 15m"),
        ("sign-in.device", "10 per 15m"),
        ("sign-in.session", "10 per 15m"),
        ("reset.client", "10 per 1h"),
        ("reset.email", "3 per 1h"),
        ("reset.device", "3 per 1h"),
        ("ticket.client", "60 per 15m"),
        ("token.client", "60 per 15m"),
        ("pages.client", "600 per 1m"),
    ] {
        assert_eq!(quota(name), expected, "{name}");
    }
}

#[test]
fn each_preset_is_tighter_than_the_one_before() {
    let [relaxed, standard, strict] = Preset::ALL.map(Preset::policy);
    for (wide, tight) in [(&relaxed, &standard), (&standard, &strict)] {
        assert_eq!(names(wide), names(tight));
        for (wide, tight) in wide.rules.iter().zip(&tight.rules) {
            assert!(wide.quota.burst() >= tight.quota.burst(), "{}", wide.name);
            assert!(wide.quota.interval() <= tight.quota.interval(), "{}", wide.name);
        }
    }
}

#[test]
fn a_rule_of_the_presets_name_changes_it_in_what_it_says_and_another_name_is_added() {
    let changed = policy(
        r#"
        preset = "standard"
        [[rule]]
        name = "sign-in.client"
        quota = "60 per 15m"
        [[rule]]
        name = "reset.device"
        enabled = false
        [[rule]]
        name = "mine"
        endpoint = ["sign-in", "forgot-password"]
        key = "subnet"
        quota = "7 per 1h"
        lane = "strangers"
        in_flight = 3
        action = "slow"
        "#,
    );
    let mut expected = Preset::Standard.policy();
    expected.rules[0].quota = "60 per 15m".parse().unwrap();
    let device = expected
        .rules
        .iter_mut()
        .find(|rule| rule.name.as_str() == "reset.device");
    device.unwrap().enabled = false;
    expected.rules.push(LimitRule {
        name: RuleName::parse("mine").unwrap(),
        endpoints: vec![Endpoint::SignIn, Endpoint::ForgotPassword],
        key: KeyKind::Subnet,
        lane: LaneFilter::Only(LaneKind::Strangers),
        quota: "7 per 1h".parse().unwrap(),
        in_flight: Some(3),
        action: Action::Slow,
        enabled: true,
    });
    assert_eq!(changed, expected);
}

#[test]
fn without_a_preset_the_file_is_all_there_is() {
    let one = policy("[[rule]]\nname = \"one\"\nendpoint = \"api-token\"\nkey = \"global\"\nquota = \"1 per 1m\"");
    assert_eq!(names(&one), ["one"]);
    assert_eq!(one.rules[0].lane, LaneFilter::Any);
    assert_eq!((one.rules[0].action, one.rules[0].in_flight), (Action::Refuse, None));
}

#[test]
fn exemptions_have_reasons_and_are_networks_in_the_form_clients_are_compared_in() {
    let text = r#"
        preset = "strict"
        exempt = ["10.0.0.0/8", { network = "::ffff:192.0.2.7", reason = "the monitoring" }, { network = "fd00::/8" }]
    "#;
    let read = reading::read(text, None).unwrap();
    let exempt: Vec<_> = read.policy.exempt.iter().map(ToString::to_string).collect();
    assert_eq!(exempt, ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]);
    assert_eq!(
        read.reasons,
        [("192.0.2.7/32".parse().unwrap(), "the monitoring".to_owned())]
    );
    assert_eq!(read.preset, Some(Preset::Strict));
}

#[test]
fn everything_wrong_is_told_in_one_run_with_line_reason_and_remedy() {
    insta::assert_snapshot!(complaints(
        r#"
preset = "strickt"
exempt = ["10.0.0.1/8", "everybody", { network = "192.0.2.0/24", raeson = "x" }, { reason = "none" }, "192.0.2.0/24", 7]
excempt = []

[[rule]]
name = "Sign-In"
endpoint = "login"
key = "ip"
quota = "10 / 15m"
lane = "stranger"
in_flight = 0
action = "ban"
enabled = "yes"

[[rule]]
endpoint = "sign-in"
key = "client"
quota = "0 per 1h"

[[rule]]
name = "mail.client"
endpoint = []

[[rule]]
name = "short"
qouta = "1 per 1h"
exempt = ["10.0.0.0/8"]

[[rule]]
name = "short"
endpoint = "sign-in"
key = "client"
quota = "1 per 1h"
"#
    ));
}

#[test]
fn what_makes_no_sense_is_told_where_it_is_written() {
    let rule = |name: &str, rest: &str| format!("[[rule]]\nname = \"{name}\"\nquota = \"5 per 1h\"\n{rest}\n");
    let nonsense = [
        rule("a", "endpoint = \"sign-in\"\nkey = \"device\"\nlane = \"strangers\""),
        rule("b", "endpoint = \"any-request\"\nkey = \"account\""),
        rule("c", "endpoint = \"any-request\"\nkey = \"password\""),
        rule("d", "endpoint = \"forgot-password\"\nkey = \"password\""),
        rule("e", "endpoint = \"any-request\"\nkey = \"client\"\naction = \"slow\""),
        rule(
            "f",
            "endpoint = \"any-request\"\nkey = \"client\"\naction = \"notify\"\nin_flight = 3\nlane = \"known\"",
        ),
        rule("g", "endpoint = [\"any-request\", \"sign-in\"]\nkey = \"client\""),
        rule("h", "endpoint = \"set-password\"\nkey = \"account\""),
        rule("i", "endpoint = \"api-token\"\nkey = \"client\"\nlane = \"known\""),
        rule(
            "j",
            "endpoint = \"change-password\"\nkey = \"client\"\nlane = \"strangers\"",
        ),
        rule("k", "endpoint = [\"sign-in\", \"forgot-password\"]\nkey = \"password\""),
        rule("l", "endpoint = \"sign-in\"\nkey = \"password\""),
    ];
    insta::assert_snapshot!(complaints(&nonsense.concat()));
}

#[test]
fn a_change_of_the_preset_that_makes_no_sense_is_told_at_the_change() {
    insta::assert_snapshot!(complaints(
        "preset = \"standard\"\n[[rule]]\nname = \"pages.client\"\naction = \"slow\"\n[[rule]]\nname = \"sign-in.device\"\nlane = \
         \"strangers\"\n[[rule]]\nname = \"sign-in.acount\"\nquota = \"5 per 1h\"\n"
    ));
}

#[test]
fn a_quota_by_password_for_longer_than_passwords_are_known_is_refused_where_it_is_written() {
    let rule =
        |quota: &str| format!("preset = \"strict\"\n[[rule]]\nname = \"sign-in.password\"\nquota = \"{quota}\"\n");
    assert_eq!(
        policy(&rule("10 per 15m")).rules.len(),
        Preset::Strict.policy().rules.len()
    );
    let refused = complaints(&rule("10 per 901s"));
    assert!(
        refused.starts_with("limits.toml:4: rule sign-in.password, quota: ")
            && refused.contains("write it for 15m or less"),
        "{refused}"
    );
    for preset in Preset::ALL {
        let by_password = preset
            .policy()
            .rules
            .into_iter()
            .filter(|rule| rule.key == KeyKind::Password);
        assert!(
            by_password.clone().count() > 0
                && by_password
                    .clone()
                    .all(|rule| rule.quota.period() <= PASSWORDS_KNOWN_FOR)
        );
    }
}

#[test]
fn a_file_that_would_limit_nothing_is_refused() {
    let nothing = "limits.toml: it has neither a preset nor a rule, so that nothing would be limited; write preset = \
                   \"standard\" above all else\n";
    assert_eq!(complaints(""), nothing);
    assert_eq!(complaints("exempt = [\"10.0.0.0/8\"]"), nothing);
    assert_eq!(
        complaints("preset = \"standard\"\n[rule]\nname = \"x\""),
        "limits.toml:2: rule: there are several rules; begin each with [[rule]], in two brackets\n"
    );
    assert!(complaints("preset = \n").starts_with("limits.toml:1: this is not TOML: "));
}

#[test]
fn more_rules_than_an_attempt_should_ask_are_refused() {
    let rules = |count: usize| -> String {
        (0..count).fold(String::new(), |text, number| {
            let rule = format!(
                "[[rule]]\nname = \"r{number}\"\nendpoint = \"sign-in\"\nkey = \"client\"\nquota = \"5 per 1h\"\n"
            );
            text + &rule
        })
    };
    assert_eq!(policy(&rules(MOST_RULES)).rules.len(), MOST_RULES);
    assert_eq!(
        complaints(&rules(MOST_RULES + 1)),
        "limits.toml:1: rule: 65 rules are too many; the most is 64, the preset's among them\n"
    );
    let room = MOST_RULES - Preset::Standard.policy().rules.len();
    assert!(parse(&format!("preset = \"standard\"\n{}", rules(room))).is_ok());
    assert!(parse(&format!("preset = \"standard\"\n{}", rules(room + 1))).is_err());
}

#[test]
fn a_file_that_cannot_be_had_is_told_of() {
    let home = tempfile::tempdir().unwrap();
    let load = |name: &str| LimitsFile::load(&home.path().join(name)).map_err(|problems| problems[0].to_string());
    assert!(
        load("nowhere.toml")
            .unwrap_err()
            .ends_with("nowhere.toml does not exist")
    );
    std::fs::write(home.path().join("latin"), b"# caf\xe9\n").unwrap();
    assert!(load("latin").unwrap_err().ends_with("it is not text (UTF-8)"));
    assert!(load(".").unwrap_err().ends_with("is not a file"));
    std::fs::write(home.path().join("right.toml"), "preset = \"relaxed\"").unwrap();
    assert_eq!(load("right.toml"), Ok(LimitsFile::of_preset(Preset::Relaxed)));
}

/// Rules that make sense.
fn rule() -> impl Strategy<Value = LimitRule> {
    let parts = (
        prop::sample::subsequence(Endpoint::ALL.to_vec(), 1..=6),
        prop::sample::select(KeyKind::ALL.to_vec()),
        prop::sample::select(LaneFilter::ALL.to_vec()),
        (1_u32..1_000_000, 1_u64..30_000_000),
        prop::option::of(1_u32..1_000_000),
        prop::sample::select(Action::ALL.to_vec()),
        any::<bool>(),
    );
    let rule = parts.prop_map(|(endpoints, key, lane, (burst, seconds), in_flight, action, enabled)| {
        let most = if key == KeyKind::Password {
            PASSWORDS_KNOWN_FOR.as_secs()
        } else {
            u64::MAX
        };
        LimitRule {
            name: RuleName::parse("r").unwrap(),
            endpoints,
            key,
            lane,
            quota: Quota::new(burst, std::time::Duration::from_secs(seconds.min(most))).unwrap(),
            in_flight,
            action,
            enabled,
        }
    });
    rule.prop_filter("it makes sense", |rule| sense::nonsense(rule).is_empty())
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_same(rules in prop::collection::vec(rule(), 1..20), nets in prop::collection::hash_set(any::<u32>(), 0..5)) {
        let rules = rules.into_iter().enumerate().map(|(index, rule)| {
            LimitRule { name: RuleName::parse(&format!("rule-{index}")).unwrap(), ..rule }
        });
        let exempt = nets.into_iter().map(|bits| IpNet::from(std::net::IpAddr::from(bits.to_be_bytes())));
        let policy = Policy { rules: rules.collect(), exempt: exempt.collect() };
        prop_assert_eq!(parse(&write(&policy)), Ok(policy));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_rule_makes_the_parser_panic(
        parts in prop::collection::vec(("(name|endpoint|key|quota|lane|in_flight|action|enabled|x)", "(\"\\PC{0,8}\"|[0-9]{1,20}|true|\\[\\]|\\{\\}|\\[1, \"sign-in\"\\])"), 0..8),
    ) {
        let lines: Vec<_> = parts.iter().map(|(part, value)| format!("{part} = {value}")).collect();
        let _ = parse(&format!("[[rule]]\n{}", lines.join("\n")));
    }
}
