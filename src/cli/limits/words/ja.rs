//! In Japanese.

use std::time::Duration;

use super::{Rate, number};
use crate::domain::limits::Quota;
use crate::domain::limits::advice::Advice;
use crate::domain::limits::allowance::{Allowance, DAY, Scope};
use crate::domain::limits::attempt::Endpoint;
use crate::domain::limits::policy::RuleName;
use crate::domain::limits::reading::{Morning, Rival, Softness, Statement};

use Endpoint as At;

/// What is counted: the words before a figure, and those before the words that nothing limits it.
const fn frame(endpoint: Endpoint, scope: Scope) -> (&'static str, &'static str) {
    match (endpoint, scope) {
        (At::SignIn, Scope::Account) => (
            "見知らぬ人が1つのアカウントに対して試せるパスワードは、どこから来ても",
            "多くの接続元から来るかぎり、見知らぬ人が1つのアカウントに対して試せるパスワードの回数",
        ),
        (At::SignIn, Scope::ClientAtAccount) => (
            "1つの接続元から1つのアカウントに対して試せるパスワードは",
            "1つの接続元から1つのアカウントに対して試せるパスワードの回数",
        ),
        (At::SignIn, Scope::Client) => (
            "1つの接続元から間違えられるパスワードは、すべてのアカウントを合わせて",
            "1つの接続元から多くのアカウントに対して試せるパスワードの回数",
        ),
        (At::SignIn, Scope::Subnet) => (
            "1つのネットワーク（IPv4は/24、IPv6は/48）から間違えられるパスワードは、すべてのアカウントを合わせて",
            "1つのネットワークの多くの接続元から試せるパスワードの回数",
        ),
        (At::SignIn, Scope::Password) => (
            "見知らぬ人が同じパスワードを試せるのは、すべてのアカウントを合わせて",
            "見知らぬ人が同じパスワードを多くのアカウントに対して試せる回数",
        ),
        (At::SignIn, _) => (
            "見知らぬ人が間違えられるパスワードは、全員を合わせて",
            "見知らぬ人全員が試せるパスワードの回数",
        ),
        (At::ForgotPassword, Scope::Account) => (
            "見知らぬ人が1つのメールアドレスについて再設定を求められるのは",
            "見知らぬ人が1つのメールアドレスについて再設定を求められる回数",
        ),
        (At::ForgotPassword, _) => (
            "1つの接続元から再設定を求められるのは",
            "1つの接続元から再設定を求められる回数",
        ),
        (At::SetPassword, _) => (
            "1つの接続元からメールのリンクを開けるのは",
            "1つの接続元からメールのリンクを開ける回数",
        ),
        (At::ChangePassword, _) => (
            "サインインしている人がパスワードをもう一度入力できるのは",
            "サインインしている人がパスワードを試せる回数",
        ),
        (At::ApiToken, _) => (
            "1つの接続元から未知のAPIトークンを示せるのは",
            "1つの接続元から未知のAPIトークンを示せる回数",
        ),
        (At::AnyRequest, _) => (
            "1つの接続元からゲートウェイ自身のページへのリクエストは",
            "1つの接続元からゲートウェイ自身のページへのリクエストの回数",
        ),
    }
}

pub fn statement(statement: &Statement) -> String {
    match statement {
        Statement::Strangers(endpoint, scope, allowance) => {
            let (counted, endless) = frame(*endpoint, *scope);
            match allowance {
                Some(allowance) => format!("{counted}{}までです{}。", rate(allowance), first(allowance)),
                None => format!("{endless}に制限はありません。"),
            }
        }
        Statement::Owner(keeps, rivals) => owner(keeps.as_ref(), rivals),
        Statement::Morning(morning) => self::morning(morning.as_ref()),
        Statement::Soft(rule, quota, softness) => soft(rule, quota, *softness),
    }
}

fn first(allowance: &Allowance) -> String {
    let (day, at_once) = (number(allowance.most_within(DAY)), number(allowance.at_once()));
    match Rate::of(allowance) {
        Rate::OneIn(_) if allowance.at_once() == 1 => String::new(),
        Rate::OneIn(_) => format!("（最初だけは一度に{at_once}回まで）"),
        _ => format!("（最初の1日は{day}回まで。{at_once}回を一度に試せるため）"),
    }
}

fn rate(allowance: &Allowance) -> String {
    match Rate::of(allowance) {
        Rate::Hourly { hour, day } => format!("1時間に{}回、1日に{}回", number(hour), number(day)),
        Rate::Daily(day) => format!("1日に{}回", number(day)),
        Rate::OneIn(time) => format!("{}に1回", time_in_words(time)),
    }
}

fn owner(keeps: Option<&Allowance>, rivals: &[(Rival, Vec<RuleName>)]) -> String {
    const WHERE: &str = "そのアカウントで以前にサインインしたブラウザーでは、";
    let Some(keeps) = keeps else {
        return format!("{WHERE}本人が試せる回数に制限はありません。");
    };
    let rate = match Rate::of(keeps) {
        Rate::Hourly { hour, .. } => format!("1時間に{}回", number(hour)),
        Rate::Daily(day) => format!("1日に{}回", number(day)),
        Rate::OneIn(time) => format!("{}に1回", time_in_words(time)),
    };
    let tries = format!("{WHERE}本人は一度に{}回、その後{rate}試せます", number(keeps.at_once()));
    if rivals.is_empty() {
        return format!("{tries}。見知らぬ人がそれを使い切ることはできません。");
    }
    let rivals: Vec<_> = rivals
        .iter()
        .map(|(rival, rules)| {
            let who = match rival {
                Rival::Anybody => "見知らぬ人だれでも",
                Rival::Address => "同じ接続元の見知らぬ人",
                Rival::Network => "同じネットワークの見知らぬ人",
                Rival::Everybody => "見知らぬ人全員",
            };
            let rules: Vec<_> = rules.iter().map(RuleName::as_str).collect();
            format!("{who}（{}）", rules.join("、"))
        })
        .collect();
    format!("{tries}。それを使い切れるのは、{}だけです。", rivals.join("、"))
}

fn morning(morning: Option<&Morning>) -> String {
    let Some(morning) = morning else {
        return "1つの接続元からサインインできる人数に制限はありません。".to_owned();
    };
    let at_once = morning
        .at_once
        .map_or_else(String::new, |most| format!("（同じ瞬間には{}人まで）", number(most)));
    format!(
        "朝9時に1つの接続元からサインインできるのは、{}人に1人がパスワードを1回間違えるとして、{}で{}人までです{at_once}（{}）。",
        Morning::MISTYPED,
        time_in_words(Morning::TIME),
        number(morning.people),
        morning.rule
    )
}

fn soft(rule: &RuleName, quota: &Quota, softness: Softness) -> String {
    let beyond = format!("{}に{}回", time_in_words(quota.period()), number(quota.burst().into()));
    match softness {
        Softness::Slow => format!("{beyond}を超えると、{rule} は応答を最大10秒遅らせますが、だれも止めません。"),
        Softness::Tell => format!("{beyond}を超えると、{rule} はそれを知らせますが、だれも止めません。"),
    }
}

pub fn advice(advice: &Advice) -> String {
    match advice {
        Advice::NeverBites(rule, tighter) => format!(
            "{rule} は決して働きません。同じ試みを数える {tighter} が先に尽きます。{rule} をもっと厳しくするか、取り除いてください"
        ),
        Advice::LocksOwnersOut(rule) => format!(
            "{rule} では、見知らぬ人がアカウントの持ち主を締め出せます。知られているブラウザーと見知らぬ人の間違いを一緒に数えているためです。\
             lane = \"strangers\" と書いてください"
        ),
        Advice::LocksEverybodyOut(rule) => format!(
            "{rule} では、見知らぬ人が知られているブラウザーも含めて全員を締め出せます。lane = \"strangers\" か action = \"notify\" と書いてください"
        ),
        Advice::Unguarded(endpoint) => format!(
            "\"{}\" を数える規則がありません。際限なく試せます",
            endpoint.as_str()
        ),
        Advice::EndlessGuesses => {
            "アカウントごとに数えて拒む規則がありません。多くの接続元からなら、1つのアカウントのパスワードを際限なく試せます".to_owned()
        }
        Advice::ExemptsEverybody(network) => {
            format!("exempt: {network} はほとんど全員にあたります。除外された接続元は際限なく試せます")
        }
        Advice::IdleCap(rule) => format!(
            "{rule}: in_flight が、quota で一度に通る数以上なので、何も変わりません"
        ),
    }
}

fn time_in_words(time: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "日"), (3_600, "時間"), (60, "分")];
    let seconds = time.as_secs();
    let whole = |(unit, _): &&(u64, &str)| seconds > 0 && seconds.is_multiple_of(*unit);
    let (unit, name) = UNITS.iter().find(whole).copied().unwrap_or((1, "秒"));
    format!("{}{name}", number(seconds / unit))
}
