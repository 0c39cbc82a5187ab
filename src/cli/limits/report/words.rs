//! What the report says, in both languages.

use super::super::sweep::reach;
use crate::domain::language::Language;
use crate::domain::limits::policy::KeyKind;

/// Every text of the report.
#[derive(Debug)]
pub struct Words {
    pub replay: &'static str,
    pub sweep: &'static str,
    pub made: fn(&str) -> String,
    pub span: fn(&str, &str, &str) -> String,
    pub nothing: &'static str,
    pub side_by_side: &'static str,
    pub as_it_was: &'static str,
    pub trial_as_it_was: &'static str,
    pub attempts: &'static str,
    pub refused: &'static str,
    pub slowed: &'static str,
    pub noted: &'static str,
    pub people: &'static str,
    pub stopped: &'static str,
    pub people_stopped: &'static str,
    pub waited: &'static str,
    pub guesses: &'static str,
    pub guesses_most: &'static str,
    pub guesses_median: &'static str,
    pub worst: &'static str,
    pub worst_at: fn(&str, &str) -> String,
    pub over_time: &'static str,
    pub over_time_legend: fn(&str, Option<&str>) -> String,
    pub by_rule: &'static str,
    pub by_rule_legend: fn(&str, Option<&str>) -> String,
    pub addresses: fn(&str) -> String,
    pub networks: fn(&str) -> String,
    pub address: &'static str,
    pub network: &'static str,
    pub how_to_read: &'static str,
    pub definition_people: &'static str,
    pub definition_guesses: &'static str,
    pub nobody: &'static str,
    pub cut: &'static str,
    pub no_sign_ins: &'static str,
    pub unknown: fn(&str, &str, &str) -> String,
    pub banned: fn(&str) -> String,
    pub ordered: fn(&str, &str, &str, &str) -> String,
    pub ordered_left_out: fn(&str, &str, &str, &str) -> String,
    pub still: &'static str,
    pub password: fn(&str, &str) -> String,
    pub rule_of: fn(&str, &str, &str) -> String,
    pub tradeoff: &'static str,
    pub tradeoff_legend: fn(KeyKind) -> String,
    pub quota: &'static str,
    pub guesses_possible: &'static str,
    pub guesses_seen: &'static str,
    pub knee: &'static str,
}

impl Words {
    /// In this language.
    pub const fn of(language: Language) -> &'static Self {
        match language {
            Language::En => &ENGLISH,
            Language::Ja => &JAPANESE,
        }
    }
}

static ENGLISH: Words = Words {
    replay: "A policy tried on what was",
    sweep: "A rule with many quotas",
    made: |when| format!("Made on {when} by Sekisho. Nobody was stopped by it."),
    span: |attempts, first, last| format!("{attempts} attempts from {first} to {last}"),
    nothing: "Nothing was tried in that time.",
    side_by_side: "Side by side",
    as_it_was: "as it was",
    trial_as_it_was: "on trial, as it was",
    attempts: "Attempts",
    refused: "Refused",
    slowed: "Answered late",
    noted: "Told of",
    people: "People who signed in",
    stopped: "of them stopped before they did",
    people_stopped: "People stopped",
    waited: "of them kept waiting",
    guesses: "Guesses let through",
    guesses_most: "at one account in a day, at most",
    guesses_median: "at the median account",
    worst: "Worst minute",
    worst_at: |count, when| format!("{count} refused at {when}"),
    over_time: "Over time",
    over_time_legend: |active, tried| match tried {
        Some(tried) => format!("Area: attempts. Full line: refused by {active}. Dashed line: refused by {tried}."),
        None => format!("Area: attempts. Line: refused by {active}."),
    },
    by_rule: "Refused, by rule",
    by_rule_legend: |active, tried| match tried {
        Some(tried) => format!("Upper bar: {active}. Lower bar: {tried}."),
        None => format!("Bars: {active}."),
    },
    addresses: |policy| format!("Addresses most refused by {policy}"),
    networks: |policy| format!("Networks most refused by {policy}"),
    address: "Address",
    network: "Network (/24, /48)",
    how_to_read: "How to read it",
    definition_people: "Somebody would have been stopped when an attempt is refused and the same browser goes on to sign in at \
        the same account within an hour, or when that sign-in itself is refused. The same browser: the same known device, or, \
        where it is not known, the same address. Each person counts once. What strangers try at somebody's account from elsewhere \
        does not count. Whoever guessed a password is taken for its owner.",
    definition_guesses: "A guess is a wrong password of a stranger that was let through. Days are those of UTC; the median is \
        over all accounts at which there was one, existing or invented.",
    nobody: "Nobody succeeded in these attempts, so nobody can be found to be stopped.",
    cut: "With some of these quotas more can be guessed than is simulated: their guesses are the least.",
    no_sign_ins: "The rule counts no sign-ins, so that no quota of it bounds guesses.",
    unknown: |count, policy, through| {
        format!(
            "Of {count} attempts nobody knows how they would have ended, since they were stopped; {policy} lets {through} of them \
             through. They are taken for wrong ones, and for nobody's success."
        )
    },
    banned: |count| {
        format!("{count} attempts were stopped by a ban and by no rule. They are left out, but for what they drew.")
    },
    ordered: |what, from, until, author| {
        format!("From {from} to {until} an order of {author} was in force, and is taken into account: {what}.")
    },
    ordered_left_out: |what, from, until, author| {
        format!(
            "From {from} to {until} an order of {author} was in force that is not understood any more, and was left out: {what}."
        )
    },
    still: "now",
    password: |rule, policy| {
        format!(
            "The rule {rule} of {policy} counts by password. Nothing is recorded of passwords, so it has counted nothing here."
        )
    },
    rule_of: |rule, policy, quota| format!("{rule} of {policy}, now {quota}"),
    tradeoff: "People stopped against guesses left",
    tradeoff_legend: |key| {
        format!(
            "Each point is a quota. Diamond: the knee, where both are low. Full points: no other quota is better in one and no \
             worse in the other. Guesses: what somebody gets in a day {}, whatever was really tried; the scale is by magnitude.",
            reach(key)
        )
    },
    quota: "Quota",
    guesses_possible: "Guesses a day",
    guesses_seen: "really tried at one account",
    knee: "the knee",
};

static JAPANESE: Words = Words {
    replay: "実際の記録に対するポリシーの試行",
    sweep: "一つのルールを多くの上限値で試行",
    made: |when| format!("Sekisho が {when} に作成しました。この試行で止められた人はいません。"),
    span: |attempts, first, last| format!("{first} から {last} までの {attempts} 件の試み"),
    nothing: "この期間に試みはありませんでした。",
    side_by_side: "比較",
    as_it_was: "当時の結果",
    trial_as_it_was: "当時の試用ポリシー",
    attempts: "試み",
    refused: "拒否",
    slowed: "応答を遅らせた",
    noted: "通知のみ",
    people: "サインインできた人",
    stopped: "うち、その前に止められる人",
    people_stopped: "止められる人",
    waited: "うち、待たされる人",
    guesses: "通された推測",
    guesses_most: "一つのアカウントに一日で最大",
    guesses_median: "アカウントごとの中央値",
    worst: "最も多く拒否した一分間",
    worst_at: |count, when| format!("{when} に {count} 件"),
    over_time: "時間の経過",
    over_time_legend: |active, tried| match tried {
        Some(tried) => format!("面は試み、実線は {active} による拒否、破線は {tried} による拒否です。"),
        None => format!("面は試み、線は {active} による拒否です。"),
    },
    by_rule: "ルールごとの拒否",
    by_rule_legend: |active, tried| match tried {
        Some(tried) => format!("上の棒は {active}、下の棒は {tried} です。"),
        None => format!("棒は {active} です。"),
    },
    addresses: |policy| format!("{policy} による拒否の多いアドレス"),
    networks: |policy| format!("{policy} による拒否の多いネットワーク"),
    address: "アドレス",
    network: "ネットワーク (/24、/48)",
    how_to_read: "読み方",
    definition_people: "「止められる人」とは、試みが拒否された後、一時間以内に同じブラウザーから同じアカウントへのサインインに成功した人、\
        または成功した試みそのものが拒否される人です。同じブラウザーとは、登録済みの同じ端末、または未知の端末なら同じアドレスを指します。\
        一人は一度だけ数えます。他人が別の場所からその人のアカウントに試みたものは数えません。\
        パスワードを言い当てた人は本人とみなされます。",
    definition_guesses: "「推測」とは、見知らぬ端末からの誤ったパスワードで、通されたものです。一日は UTC で区切ります。中央値は、\
        実在するかどうかにかかわらず、推測のあったすべてのアカウントについてのものです。",
    nobody: "これらの試みに成功したものはないため、止められる人を見つけることはできません。",
    cut: "一部の上限値では、シミュレーションの範囲を超える数の推測が可能です。その推測の数は下限です。",
    no_sign_ins: "このルールはサインインを数えないため、どの上限値でも推測の数は変わりません。",
    unknown: |count, policy, through| {
        format!(
            "{count} 件の試みは当時止められたため、結果は分かりません。{policy} はそのうち {through} 件を通します。\
             これらは誤りとみなし、誰の成功ともみなしません。"
        )
    },
    banned: |count| {
        format!(
            "{count} 件の試みはルールではなく利用禁止によって止められたため、使った回数を除いて集計に含めていません。"
        )
    },
    ordered: |what, from, until, author| {
        format!("{from} から {until} まで {author} による指示が有効でした。これを反映しています: {what}")
    },
    ordered_left_out: |what, from, until, author| {
        format!(
            "{from} から {until} まで {author} による指示が有効でしたが、現在は解釈できないため除外しました: {what}"
        )
    },
    still: "現在",
    password: |rule, policy| {
        format!(
            "{policy} のルール {rule} はパスワードごとに数えます。パスワードは一切記録されないため、ここでは何も数えていません。"
        )
    },
    rule_of: |rule, policy, quota| format!("{policy} の {rule} (現在 {quota})"),
    tradeoff: "止められる人と、残る推測",
    tradeoff_legend: |key| {
        let reach = match key {
            KeyKind::Account => "50 のアドレスから一つのアカウントに",
            KeyKind::ClientAccount | KeyKind::Device => "一つのアドレスから一つのアカウントに",
            KeyKind::Client => "一つのアドレスから 200 のアカウントに",
            KeyKind::Subnet => "一つのネットワークの五つのアドレスから 200 のアカウントに",
            KeyKind::Password | KeyKind::Global => "50 のアドレスから 200 のアカウントに",
        };
        format!(
            "点は上限値の一つひとつです。ひし形は両方が小さい折り合いの点、塗りつぶした点は、一方で勝り他方で劣らない上限値が\
             ほかにないものです。推測は、{reach}一日で試せる数で、実際に試みられた数とは別です。目盛りは桁によります。"
        )
    },
    quota: "上限値",
    guesses_possible: "一日に可能な推測",
    guesses_seen: "一つのアカウントに実際にあった推測",
    knee: "折り合いの点",
};
