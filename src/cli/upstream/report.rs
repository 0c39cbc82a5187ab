//! The report: a row for each request, for people and for programs.

use std::net::SocketAddr;
use std::process::ExitCode;

use http::StatusCode;
use serde::Serialize;
use url::Url;

use super::super::output::{BAD, CARE, GOOD, Output};
use super::super::table::{Styled, Table};
use super::attacks::Attack;
use super::judge::Verdict;
use super::wire::Answer;

/// The exit code when nothing is proved either way.
const UNPROVED: u8 = 2;

const SIDE_DOOR: &str = "side-door";
const CLOSE: &str = "let it listen on 127.0.0.1, or have the firewall admit the gateway alone";

/// Everything that was tried, and what came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    url: String,
    /// Whether the controls showed what an accept is, so that a refusal is one.
    proved: bool,
    /// Why nothing, or not all, is proved.
    doubt: Option<String>,
    /// One for each request.
    pub rows: Vec<Row>,
}

/// One request.
#[derive(Debug, Serialize)]
pub struct Row {
    id: &'static str,
    what: String,
    verdict: Verdict,
    status: Option<u16>,
    /// What must be accepted is so marked; everything else must be refused.
    genuine: bool,
    /// What it means and what to do, where there is something to say.
    note: Option<String>,
}

impl Report {
    /// With both controls.
    pub fn begin(url: &Url, genuine: &Answer, nothing: &Answer) -> Self {
        let control = |id, what: &str, answer: &Answer, verdict| Row {
            genuine: verdict == Verdict::Accepted,
            ..Row::new(id, what, verdict, answer.status())
        };
        Self {
            url: url.to_string(),
            proved: true,
            doubt: None,
            rows: vec![
                control("genuine", "a genuine statement", genuine, Verdict::Accepted),
                control("nothing", "no statement", nothing, Verdict::Refused),
            ],
        }
    }

    /// Nobody answers.
    pub fn silent(url: &Url, why: &str) -> Self {
        Self {
            url: url.to_string(),
            proved: false,
            doubt: Some(format!("The web client cannot be reached: {why}.")),
            rows: Vec::new(),
        }
    }

    /// The refusals prove nothing.
    pub fn unproved(&mut self, why: String) {
        self.proved = false;
        self.doubt = Some(why);
        // Only what was let in at the end still stands; the control itself was not.
        if let [genuine, _] = &mut self.rows[..] {
            genuine.verdict = Verdict::Refused;
        }
    }

    /// Nobody and somebody get the same answer.
    pub fn open(&mut self, status: StatusCode) {
        if let Some(nothing) = self.rows.get_mut(1) {
            nothing.verdict = Verdict::Accepted;
            nothing.note = Some(format!(
                "it answers {status} to a genuine statement and to none: it checks nothing, or --path is for everybody, or \
                 the two answers differ in their text alone (then use --marker) → refuse every request without exactly one \
                 valid statement"
            ));
        }
    }

    fn accepted(&self) -> usize {
        let wrongly = |row: &&Row| row.verdict == Verdict::Accepted && !row.genuine;
        self.rows.iter().filter(wrongly).count()
    }

    /// 0: all refused; 1: something accepted; 2: nothing proved.
    pub fn exit_code(&self) -> ExitCode {
        if self.accepted() > 0 {
            ExitCode::FAILURE
        } else if self.proved {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(UNPROVED)
        }
    }

    /// Prints it for people.
    pub fn tell(&self, output: &mut Output) -> anyhow::Result<()> {
        if !self.rows.is_empty() {
            let mut table = Table::new(["Sent", "Answer", "Verdict", "What it means"]);
            for row in &self.rows {
                table.row(row.cells());
            }
            output.table(&table)?;
            output.line("")?;
        }
        if let Some(doubt) = &self.doubt {
            output.line(format_args!("{CARE}Nothing is proved.{CARE:#} {doubt}"))?;
        }
        let wrongly = self.accepted();
        if wrongly > 0 {
            return output.line(format_args!(
                "{BAD}{} accepts {wrongly} of what it must refuse.{BAD:#}",
                self.url
            ));
        }
        if self.proved {
            output.line(format_args!("{GOOD}{} refuses all of it.{GOOD:#}", self.url))?;
        }
        Ok(())
    }
}

impl Row {
    fn new(id: &'static str, what: impl Into<String>, verdict: Verdict, status: Option<StatusCode>) -> Self {
        Self {
            id,
            what: what.into(),
            verdict,
            status: status.map(|status| status.as_u16()),
            genuine: false,
            note: None,
        }
    }

    fn noted(self, note: impl Into<String>) -> Self {
        Self {
            note: Some(note.into()),
            ..self
        }
    }

    /// What became of an attack.
    pub fn of(attack: &Attack, verdict: Verdict, answer: &Answer) -> Self {
        let row = Self::new(attack.id, attack.what, verdict, answer.status());
        match (verdict, answer) {
            (Verdict::Accepted, _) => row.noted(format!("{} → {}", attack.means, attack.mend)),
            (Verdict::Stumbled, Answer::None(why)) => row.noted(format!("no answer ({why}) → answer 401")),
            (Verdict::Stumbled, _) => row.noted("refused by a fault of its own → answer 401"),
            _ => row,
        }
    }

    /// An attack that could not be made.
    pub fn untried(attack: &Attack, why: &str) -> Self {
        Self::new(attack.id, attack.what, Verdict::Untried, None).noted(why)
    }

    /// Whether the address that tokens name was asked.
    pub fn of_lure(asked: usize) -> Self {
        let what = "asks the address that a token names";
        if asked == 0 {
            return Self::new("asks-address", what, Verdict::Refused, None);
        }
        Self::new("asks-address", what, Verdict::Accepted, None).noted(
            "strangers choose where it sends requests, even if it then refuses → take keys from the gateway's JWKS alone",
        )
    }

    /// It runs on another machine.
    pub fn not_here() -> Self {
        let what = "past the gateway, on other addresses";
        Self::new(SIDE_DOOR, what, Verdict::Untried, None)
            .noted("it runs on another machine: see there that only the gateway reaches it")
    }

    /// It listens on loopback addresses alone.
    pub fn closed() -> Self {
        Self::new(
            SIDE_DOOR,
            "past the gateway, on other addresses",
            Verdict::Refused,
            None,
        )
    }

    /// It listens where others may reach it.
    pub fn listens(listener: SocketAddr) -> Self {
        Self::new(SIDE_DOOR, format!("listens on {listener}"), Verdict::Reachable, None)
            .noted(format!("other machines may reach it past the gateway → {CLOSE}"))
    }

    /// It lets in whoever comes past the gateway.
    pub fn side_door(address: SocketAddr, answer: &Answer) -> Self {
        let what = format!("directly to {address}, no token");
        Self::new(SIDE_DOOR, what, Verdict::Accepted, answer.status())
            .noted(format!("whoever reaches that address needs no sign-in → {CLOSE}"))
    }

    fn cells(&self) -> [Styled; 4] {
        let (word, style) = match self.verdict {
            Verdict::Accepted if self.genuine => ("accepted", GOOD),
            Verdict::Accepted => ("ACCEPTED", BAD),
            Verdict::Refused if self.genuine => ("refused", BAD),
            Verdict::Refused => ("refused", GOOD),
            Verdict::Stumbled => ("stumbled", CARE),
            Verdict::Reachable => ("reachable", CARE),
            Verdict::Untried => ("not tried", CARE),
        };
        let status = self.status.map(|status| status.to_string());
        [
            self.what.as_str().into(),
            Styled::or_dash(status.as_deref()),
            Styled::new(word, style),
            self.note.as_deref().unwrap_or_default().into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::output::tests::Sheet;
    use super::super::attacks::ATTACKS;
    use super::*;

    fn came(status: u16) -> Answer {
        Answer::Came {
            status: StatusCode::from_u16(status).unwrap(),
            location: None,
            body: String::new(),
        }
    }

    fn begun() -> Report {
        Report::begin(&"http://127.0.0.1:5000/".parse().unwrap(), &came(200), &came(401))
    }

    fn told(report: &Report) -> String {
        let sheet = Sheet::default();
        report.tell(&mut sheet.output()).unwrap();
        sheet.text()
    }

    fn code(report: &Report) -> String {
        format!("{:?}", report.exit_code())
    }

    #[test]
    fn what_is_accepted_says_what_it_means_and_how_to_mend_it() {
        let mut report = begun();
        report.rows.push(Row::of(&ATTACKS[1], Verdict::Refused, &came(401)));
        assert!(told(&report).ends_with("http://127.0.0.1:5000/ refuses all of it.\n"));
        assert_eq!(code(&report), format!("{:?}", ExitCode::SUCCESS));

        report.rows.push(Row::of(&ATTACKS[0], Verdict::Accepted, &came(200)));
        let text = told(&report);
        assert!(text.contains("ACCEPTED") && text.contains(ATTACKS[0].mend), "{text}");
        assert!(text.contains("accepts 1 of what it must refuse"), "{text}");
        assert_eq!(code(&report), format!("{:?}", ExitCode::FAILURE));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["rows"][3]["verdict"], "accepted");
        assert_eq!(json["rows"][0]["genuine"], true);
    }

    #[test]
    fn a_stumble_a_side_that_listens_and_what_was_not_tried_are_told_and_are_no_accept() {
        let mut report = begun();
        report.rows.push(Row::of(&ATTACKS[0], Verdict::Stumbled, &came(500)));
        report
            .rows
            .push(Row::of(&ATTACKS[1], Verdict::Stumbled, &Answer::None("reset".into())));
        report.rows.push(Row::untried(&ATTACKS[2], "only one"));
        report.rows.push(Row::listens("0.0.0.0:5000".parse().unwrap()));
        let text = told(&report);
        for word in [
            "stumbled",
            "no answer (reset)",
            "only one",
            "listens on 0.0.0.0:5000",
            "reachable",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert_eq!(code(&report), format!("{:?}", ExitCode::SUCCESS));
        report
            .rows
            .push(Row::side_door("192.0.2.7:5000".parse().unwrap(), &came(200)));
        assert_eq!(code(&report), format!("{:?}", ExitCode::FAILURE));
    }

    #[test]
    fn nothing_proved_is_neither_good_nor_bad() {
        let mut report = begun();
        report.unproved("Why.".to_owned());
        assert!(told(&report).ends_with("Nothing is proved. Why.\n"));
        assert_eq!(code(&report), format!("{:?}", ExitCode::from(UNPROVED)));

        let mut report = begun();
        report.open(StatusCode::OK);
        assert!(told(&report).contains("--marker"));
        assert_eq!(code(&report), format!("{:?}", ExitCode::FAILURE));

        let silent = Report::silent(&"http://127.0.0.1:5000/".parse().unwrap(), "refused");
        assert!(told(&silent).starts_with("Nothing is proved."));
    }
}
