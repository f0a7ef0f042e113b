//! Whether two names look alike (UTS #39 §4, with case, forms of Chinese characters, and Chinese
//! look-alikes).
//!
//! Each character has several looks. These are its shape by the table of confusables, the shapes of
//! its small and capital form, and those of its other Chinese forms. Each row of look-alikes that
//! holds it adds one more. Two names look alike if some choice of looks turns both into the same
//! text. This is not transitive: Greek ν looks like `v`, and its capital like `N`. Therefore an
//! index uses [`Looks::class`], one text for all names that look alike and for some that do not.
//! One lookup finds the class, and [`Looks::matches`] decides.

use std::collections::BTreeSet;
use std::iter;
use std::sync::OnceLock;

use smallvec::SmallVec;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::classes::class_of;
use super::han;

/// One look of one character: mostly one character, but `rn` for `m`.
type Look = SmallVec<[char; 4]>;

/// All looks of one character.
type CharLooks = SmallVec<[Look; 4]>;

/// All possible looks of a text, per character.
pub struct Looks(Vec<CharLooks>);

impl Looks {
    /// Maximum names of one class to compare with another: 2 ms if all have the maximum length.
    ///
    /// Names that look alike belong to one member. Latin names share a class only if they differ in
    /// a few letters, such as `e` and `r`, which meet through Greek and Cyrillic. Real names never
    /// reach this number. A relay refuses a name beyond it.
    pub const COMPARED_MAX: usize = 128;

    /// Returns the looks of any text; `None` if it is longer than any name.
    pub fn of(text: &str) -> Option<Looks> {
        (text.len() <= super::RAW_BYTES_MAX).then(|| Looks::new(text))
    }

    pub(super) fn new(text: &str) -> Looks {
        let mut looks = Vec::with_capacity(text.len());
        for c in text.nfd() {
            let plain: Look = iter::once(c).nfkd().collect();
            match plain[..] {
                [_] => looks.push(looks_of(c)),
                _ => looks.extend(plain.into_iter().map(looks_of)),
            }
        }
        Looks(looks)
    }

    /// Returns a text that is equal for all texts that look alike.
    ///
    /// For an index only: some texts that do not look alike have the same class.
    pub fn class(&self) -> String {
        let mut class = String::new();
        for looks in &self.0 {
            looks[0].iter().for_each(|c| push_class(*c, &mut class));
        }
        class
    }

    /// Whether two texts look alike. Reflexive and symmetric, but not transitive.
    pub fn matches(&self, other: &Looks) -> bool {
        LooksMatcher { mine: &self.0, theirs: &other.0, is_beginning: false }.is_possible()
    }

    /// Whether this text begins with one that looks like `beginning`.
    pub(super) fn starts_with(&self, beginning: &Looks) -> bool {
        LooksMatcher { mine: &self.0, theirs: &beginning.0, is_beginning: true }.is_possible()
    }
}

/// Returns the looks of one character; the first is its shape, in its plain form.
pub(super) fn looks_of(c: char) -> CharLooks {
    static ASCII: OnceLock<Vec<CharLooks>> = OnceLock::new();
    match c.is_ascii() {
        true => ASCII.get_or_init(|| ('\0'..='\x7f').map(find_looks).collect())[c as usize].clone(),
        false => find_looks(c),
    }
}

fn find_looks(c: char) -> CharLooks {
    let own = shape(c);
    // Unicode gives a small capital neither a case nor a plain form.
    if let Some(letter) = small_capital(c) {
        let mut looks = find_looks(letter);
        add(own, &mut looks);
        return looks;
    }
    // A compatibility form (full-width, mathematical) looks like itself or like the plain
    // character.
    if let Some(plain) = iter::once(c).nfkd().next().filter(|plain| *plain != c) {
        let mut looks = find_looks(plain);
        // Greek ϲ is σ and looks like c. Other shapes are those of the plain character, or symbols.
        if own.len() == 1 && own[0].is_ascii_alphanumeric() {
            add(own, &mut looks);
        }
        return looks;
    }
    let of_shape = own.first().copied().filter(|_| own.len() == 1).unwrap_or(c);
    let mut looks = CharLooks::from_iter([own]);
    if han::is_han(c) || han::is_han(of_shape) {
        add_han(c, of_shape, &mut looks);
    }
    // A mark has no capital: the capital of the iota subscript is a letter.
    if !is_combining_mark(c) {
        add_cases(c, &mut looks);
    }
    looks
}

/// Returns the capital letter of which `c` is a small form.
fn small_capital(c: char) -> Option<char> {
    const SMALL: &str = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ";
    const CAPITALS: &str = "ABCDEFGHIJKLMNOPQRSTUVWYZ";
    if c.is_ascii() {
        return None;
    }
    SMALL.chars().zip(CAPITALS.chars()).find_map(|(small, capital)| (small == c).then_some(capital))
}

fn add(look: Look, looks: &mut CharLooks) {
    if !looks.contains(&look) {
        looks.push(look);
    }
}

fn add_han(c: char, of_shape: char, looks: &mut CharLooks) {
    for c in [c, of_shape] {
        let form = han::form(c);
        if form != c {
            add(shape(form), looks);
        }
        han::rows_of(c).iter().for_each(|row| add(Look::from_slice(&[*row]), looks));
    }
}

fn add_cases(c: char, looks: &mut CharLooks) {
    let capital: Look = c.to_uppercase().collect();
    let small: Look = capital.iter().flat_map(|c| c.to_lowercase()).collect();
    if capital[..] == [c] && small[..] == [c] {
        return;
    }
    let shape_of = |text: Look| text.into_iter().flat_map(shape).collect::<Look>();
    let capital = shape_of(capital);
    let small = shape_of(small);
    // `I` is shaped like `l`, which counts only where `I` is written: Elia and Ella are different
    // names, EIla looks like both.
    let is_of_i = small[..] == ['i'] && capital[..] == ['l'];
    add(small, looks);
    if !is_of_i {
        add(capital, looks);
    }
}

/// Returns the shape of a character by the table of confusables.
fn shape(c: char) -> Look {
    let shape: Look = unicode_security::skeleton(c.encode_utf8(&mut [0; 4])).collect();
    // The table maps seven Chinese characters to syllables of Hangul, of several letters.
    if shape.len() > 1 && han::is_han(c) { Look::from_slice(&[c]) } else { shape }
}

/// Appends the class of one character of a look.
fn push_class(c: char, class: &mut String) {
    for c in letters_of(c) {
        match class_of(c) {
            Some(other) => class.push_str(other),
            None => class.push(c),
        }
    }
}

/// Returns the letters of one character of a look, in one case and form; none for marks and primes.
pub(super) fn letters_of(c: char) -> impl Iterator<Item = char> {
    let c = han::first_of_row(c).unwrap_or(c);
    let is_letter = !is_combining_mark(c) && c != '\'';
    c.to_uppercase().flat_map(char::to_lowercase).map(han::form).filter(move |_| is_letter)
}

/// Search for a choice of looks that makes two texts equal.
///
/// Both texts are read from the left, one look per character. Looks have different lengths (`rn` is
/// one look of `m`), so after a step one text may be ahead by the rest of a look. Whether the
/// remaining texts can match depends only on this rest and the two positions. There are few such
/// states, so a search that visits each once takes linear time, while the number of choices grows
/// exponentially.
struct LooksMatcher<'a> {
    mine: &'a [CharLooks],
    theirs: &'a [CharLooks],
    /// Whether `mine` may be longer than `theirs`.
    is_beginning: bool,
}

/// State of the search.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct MatchState<'a> {
    /// Characters read of `LooksMatcher::mine`.
    mine: usize,
    /// Characters read of `LooksMatcher::theirs`.
    theirs: usize,
    /// Rest of a look by which one text is ahead; empty if both are even.
    ahead: &'a [char],
    /// Whether `ahead` belongs to `LooksMatcher::mine`.
    is_mine: bool,
}

impl<'a> LooksMatcher<'a> {
    fn is_possible(&self) -> bool {
        self.is_possible_in(&mut 0)
    }

    /// Adds the number of visited states to `steps`.
    fn is_possible_in(&self, steps: &mut usize) -> bool {
        let start = MatchState { mine: 0, theirs: 0, ahead: &[], is_mine: true };
        // Different choices of looks lead to the same state: follow each state only once.
        let mut visited = BTreeSet::from([start]);
        let mut open = vec![start];
        while let Some(state) = open.pop() {
            *steps += 1;
            if self.is_end(state) {
                return true;
            }
            self.each_next(state, |next| {
                if visited.insert(next) {
                    open.push(next);
                }
            });
        }
        false
    }

    fn is_end(&self, state: MatchState) -> bool {
        if state.theirs < self.theirs.len() {
            return false;
        }
        let is_even = state.ahead.is_empty();
        // All of `theirs` is read. If it is ahead, `mine` must still match its rest.
        let is_prefix = self.is_beginning && (is_even || state.is_mine);
        is_prefix || is_even && state.mine == self.mine.len()
    }

    /// Reads one character of the text that is behind, and reports every state that this leads to.
    fn each_next(&self, state: MatchState<'a>, mut take: impl FnMut(MatchState<'a>)) {
        let ahead = state.ahead;
        // If neither is ahead, the order does not matter; `mine` first keeps the states few.
        let reads_mine = if ahead.is_empty() { state.mine < self.mine.len() } else { !state.is_mine };
        let mut next = state;
        let looks = match reads_mine {
            true => {
                next.mine += 1;
                self.mine.get(state.mine)
            }
            false => {
                next.theirs += 1;
                self.theirs.get(state.theirs)
            }
        };
        for look in looks.into_iter().flatten() {
            let common = ahead.len().min(look.len());
            if ahead[..common] != look[..common] {
                continue;
            }
            // The look is longer than the rest: now the text that was behind is ahead.
            take(match look.len() > common {
                true => MatchState { ahead: &look[common..], is_mine: reads_mine, ..next },
                false => MatchState { ahead: &ahead[common..], ..next },
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn alike(one: &str, other: &str) -> bool {
        Looks::new(one).matches(&Looks::new(other))
    }

    /// Latin, Cyrillic, Greek, Armenian, Cherokee, Coptic; full-width and mathematical letters;
    /// digits.
    ///
    /// Capitals only, small letters only, and both in one name.
    const LETTERS: &[(&str, &str)] = &[
        ("alice", "ALICE"),
        ("alice", "Αlice"),
        ("alice", "аliсе"),
        ("ALICE", "ΑLΙCΕ"),
        ("alice", "ａｌｉｃｅ"),
        ("HARRY", "НARRY"),
        ("иван", "ИВАН"),
        ("Zoë", "ZOË"),
        ("Zoë", "Zое\u{308}"),
        ("bob", "b0b"),
        ("wall", "wa1l"),
        ("ΣΑΣ", "σας"),
        ("TOM", "ТОМ"),
        ("tom", "ТОМ"),
        ("TOM", "том"),
        ("Tom", "Τом"),
        ("TOM", "ΤΟΜ"),
        ("tom", "𝐓𝐎𝐌"),
        ("TOM", "𝓽𝓸𝓶"),
        ("TOM", "ＴＯＭ"),
        ("tom", "Ⓣom"),
        ("NICK", "ΝІСК"),
        ("nick", "νicκ"),
        ("nick", "ΝΙϹΚ"),
        ("adam", "аԁам"),
        ("well", "ᏔᎬᏞᏞ"),
        ("david", "ᎠᎪᏙᎥᎠ"),
        ("soho", "ՏՕհօ"),
        ("Max", "Ⲙаⲭ"),
        ("TOM", "ᴛᴏᴍ"),
        ("alice", "ᴀʟɪᴄᴇ"),
        ("Harry", "Hᴀʀʀʏ"),
        ("ՄԱՐԻ", "մարի"),
        ("mary", "rnary"),
        ("MARY", "rnary"),
        ("ALI", "ALl"),
        ("Ella", "EIla"),
        ("Ella", "EΙla"),
        ("PAUL", "PAUl"),
        ("paul", "pauI"),
        ("strasse", "STRAßE"),
        ("μax", "MAX"),
        ("vnuy", "ννυυ"),
    ];

    const HAN: &[(&str, &str)] = &[
        ("自己", "自已"),
        ("武大郎", "武太郎"),
        ("王五", "玊五"),
        ("王五", "玉五"),
        ("人民", "入民"),
        ("内", "內"),
        ("黄", "黃"),
        ("说", "説"),
        ("说", "說"),
        ("説", "說"),
        ("己巳己巳", "已已巳己"),
        ("刘备", "劉備"),
        ("长江", "長江"),
        ("千山", "干山"),
        ("干山", "乾山"),
        ("干部", "幹部"),
        ("東方", "东方"),
        ("戸田", "戶田"),
        ("关羽", "関羽"),
        ("真由美", "眞由美"),
        ("吉田", "𠮷田"),
        ("二郎", "ニ郎"),
        ("力士", "カ士"),
        ("八王", "ハ王"),
        ("ﾀﾛｳ", "タロウ"),
        ("夕口", "タロ"),
        ("金", "\u{f90a}"),
        ("天日", "夭曰"),
        ("王〇", "王O"),
        ("TOM武大郎", "ТОМ武太郎"),
    ];

    const UNLIKE: &[(&str, &str)] = &[
        ("TOM", "TIM"),
        ("ТОМ", "TIM"),
        ("TOM", "TOMM"),
        ("TOM", "JACK"),
        ("alice", "alicia"),
        ("Zoë", "Zoe"),
        ("ali", "all"),
        ("Elia", "Ella"),
        ("Ivan", "Inan"),
        ("Jim", "Tim"),
        ("Peter", "Petra"),
        ("Bob", "Rob"),
        ("иван", "игорь"),
        ("vera", "nera"),
        ("一棵树", "一颗树"),
        ("王五", "王伍"),
        ("张三", "李三"),
        ("千山", "乾山"),
        ("千部", "幹部"),
        ("東山", "車山"),
        ("李四", "季四"),
        ("小清", "小情"),
        ("王", "汪"),
        ("人", "大"),
        ("user1", "user2"),
        ("user06", "user60"),
        ("한글", "한굴"),
    ];

    #[test]
    fn confusable_names_look_alike() {
        for (one, other) in LETTERS.iter().chain(HAN) {
            assert!(alike(one, other) && alike(other, one), "{one} {other}");
        }
    }

    #[test]
    fn different_names_look_different() {
        for (one, other) in UNLIKE {
            assert!(!alike(one, other) && !alike(other, one), "{one} {other}");
        }
    }

    /// These are the only ASCII letters and digits that look alike, apart from the two cases of a
    /// letter.
    #[test]
    fn few_pairs_of_ascii_look_alike() {
        let all: Vec<String> = ('0'..='z').filter(char::is_ascii_alphanumeric).map(String::from).collect();
        let mut pairs = Vec::new();
        for (at, one) in all.iter().enumerate() {
            let others = all[at + 1..].iter().filter(|other| !one.eq_ignore_ascii_case(other));
            pairs.extend(others.filter(|other| alike(one, other)).map(|other| format!("{one}{other}")));
        }
        assert_eq!(pairs, ["0O", "0o", "1I", "1L", "1l", "IL", "Il"]);
    }

    /// Compares two names that consist of look-alikes and differ in their last letter only.
    #[test]
    fn longest_names_are_compared_in_few_steps() {
        for (one, other) in [("己", "巳"), ("ν", "v"), ("m", "M"), ("rn", "m"), ("干", "千"), ("I", "l")]
        {
            let ends = |end: &str| Looks::new(&(one.repeat(31) + end));
            let others = Looks::new(&(other.repeat(31) + "x"));
            assert!(ends("x").matches(&others));
            let meeting = |mine: &Looks| {
                let mut steps = 0;
                LooksMatcher { mine: &mine.0, theirs: &others.0, is_beginning: false }
                    .is_possible_in(&mut steps);
                steps
            };
            assert!((32..=64 * 4).contains(&meeting(&ends("y"))), "{one}: {}", meeting(&ends("y")));
        }
    }

    /// One character of each kind of look.
    fn text() -> impl Strategy<Value = String> {
        "[a-zA-Z01тТмМоОνΝυгБbιΙІꮃꮇԱաµß干千乾于己已巳王玊玉士土長长ニ二𝐓Ｔë.\u{301}]{0,8}"
    }

    proptest! {
        #[test]
        fn looking_alike_is_symmetric_and_implies_equal_class(one in text(), other in text()) {
            let one = Looks::new(&one);
            let other = Looks::new(&other);
            prop_assert!(one.matches(&one));
            prop_assert_eq!(one.matches(&other), other.matches(&one));
            prop_assert!(!one.matches(&other) || one.class() == other.class());
            prop_assert!(one.starts_with(&one) && (!one.matches(&other) || one.starts_with(&other)));
        }

        /// Each character is replaced by another that has one of its looks.
        #[test]
        fn any_choice_of_looks_is_found(text in text(), choices in prop::collection::vec(any::<usize>(), 8)) {
            let looks = Looks::new(&text);
            let chosen = looks.0.iter().zip(choices.iter().cycle()).map(|(looks, choice)| {
                looks[choice % looks.len()].iter().map(|c| han::first_of_row(*c).unwrap_or(*c)).collect::<String>()
            });
            let chosen = Looks::new(&chosen.collect::<String>());
            prop_assert_eq!(looks.class(), chosen.class());
            prop_assert!(looks.matches(&chosen));
        }

        #[test]
        fn case_never_changes_look(text in "[a-zA-Zа-яΑ-ΩéԱ-Ֆꭰ-ꮿ]{1,12}") {
            prop_assert!(alike(&text, &text.to_uppercase()));
            prop_assert!(alike(&text, &text.to_lowercase()));
        }
    }
}
