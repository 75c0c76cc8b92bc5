//! Which levels there were, and which after which: the counts that surprise is taken from.

/// Levels of a table.
pub(super) const LEVELS: usize = 24;
/// A quarter of them: how many lie between the two values that begin a table.
const QUARTER: usize = LEVELS / 4;
/// What every level counts before it is seen: a flat prior.
const PRIOR: f32 = 1.0 / 16.0;
/// Rows after which all counts halve, so that what was before a lasting change fades.
const FORGET: u32 = 4_000;
/// Rows from one look at the scale to the next.
const NARROW: u32 = 64;
/// Doublings in one row; the limiter allows about ten.
const DOUBLINGS: usize = 200;

/// What a level is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Context {
    /// Nothing yet.
    None,
    /// A value of before.
    Value(f64),
    /// A place of its own, below [`LEVELS`], whatever the scale: the hour.
    Fixed(usize),
}

impl From<Option<f64>> for Context {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Context::None, Context::Value)
    }
}

/// Counts of levels, and of pairs of context and level, over a scale that follows the values.
///
/// Cells are hard: counting into neighbours as well, or between two cells by distance, lost 2 to 7 points on NAB.
#[derive(Debug)]
pub(super) struct Levels {
    /// Size of its cells against that of other tables, and their shift in cells.
    size: f64,
    shift: f64,
    first: f64,
    /// Lower end of the scale, and size of a cell; 0 before two values differed.
    low: f64,
    step: f64,
    /// 1 / step: a multiplication is several times faster, and each row has two a table.
    per_step: f64,
    rows: u32,
    total: f32,
    counts: [f32; LEVELS],
    pairs: [[f32; LEVELS]; LEVELS],
    /// Sums of the rows of `pairs`.
    sums: [f32; LEVELS],
}

impl Levels {
    /// A table with cells `size` times as large as the usual, shifted by `shift` of one.
    pub(super) fn new(size: f64, shift: f64) -> Self {
        Levels {
            size,
            shift,
            first: f64::NAN,
            low: 0.0,
            step: 0.0,
            per_step: 0.0,
            rows: 0,
            total: 0.0,
            counts: [0.0; LEVELS],
            pairs: [[0.0; LEVELS]; LEVELS],
            sums: [0.0; LEVELS],
        }
    }

    /// The probability of `value` after `context` by all rows before, and learns it. 1 as long as all were equal.
    ///
    /// p₀ = (T[k] + u) / (n + 1), p = (P[c][k] + p₀) / (R[c] + 1): the pair, backed by the level, backed by the prior.
    pub(super) fn learn(&mut self, value: f64, context: Context) -> f64 {
        if self.step == 0.0 && !self.begin(value, context) {
            return 1.0;
        }
        let (probability, level, place) = match self.level(value) {
            Some(level) => {
                let (place, total) = (self.place(context), self.total + 1.0);
                let alone = self.counts[level] + PRIOR;
                let probability = match place {
                    // Both fractions over one denominator: a division is what costs most here.
                    Some(place) => {
                        (self.pairs[place][level] * total + alone) / ((self.sums[place] + 1.0) * total)
                    }
                    None => alone / total,
                };
                (probability, level, place)
            }
            None => {
                let sum = self.place(context).map_or(0.0, |place| self.sums[place]);
                self.widen(value, context);
                let level = self.level(value).unwrap_or(if value < self.low { 0 } else { LEVELS - 1 });
                (PRIOR / (self.total + 1.0) / (sum + 1.0), level, self.place(context))
            }
        };
        self.count(level, place, 1.0);
        self.rows += 1;
        if self.rows.is_multiple_of(NARROW) && self.total > 64.0 {
            self.narrow(context);
        }
        if self.rows >= FORGET {
            self.rows = 0;
            self.forget();
        }
        f64::from(probability)
    }

    /// Values at these shares of what was counted, from the least to the greatest: the lower edge of a cell for shares below a
    /// half, the upper one above, the middle at a half. NaN before anything differed.
    pub(super) fn quantiles<const N: usize>(&self, shares: [f64; N]) -> [f64; N] {
        if self.step == 0.0 {
            return [f64::NAN; N];
        }
        let (mut level, mut below) = (0, 0.0_f32);
        shares.map(|share| {
            while level < LEVELS - 1 && below + self.counts[level] <= share as f32 * self.total {
                below += self.counts[level];
                level += 1;
            }
            let edge = match share {
                0.5 => 0.5,
                share if share < 0.5 => 0.0,
                _ => 1.0,
            };
            self.low + (level as f64 + edge) * self.step
        })
    }

    /// Begins the scale at the first value that differs, counting the constant beginning; whether it could.
    fn begin(&mut self, value: f64, context: Context) -> bool {
        if self.first.is_nan() {
            self.first = value;
        }
        let step = self.size * (value - self.first).abs() / QUARTER as f64;
        if step == 0.0 {
            self.rows = (self.rows + 1).min(FORGET);
            return false;
        }
        self.set_step(step);
        self.low = value.min(self.first) - 1.5 * QUARTER as f64 * step - self.shift * step;
        let constant = std::mem::take(&mut self.rows);
        if let (Some(level), Context::None | Context::Value(_)) = (self.level(self.first), context) {
            self.count(level, Some(level), constant as f32);
        }
        true
    }

    /// A step so small that its inverse is no number counts as the smallest that has one.
    fn set_step(&mut self, step: f64) {
        self.step = step.max(f64::MIN_POSITIVE);
        self.per_step = 1.0 / self.step;
    }

    fn level(&self, value: f64) -> Option<usize> {
        let level = (value - self.low) * self.per_step;
        (level >= 0.0 && level < LEVELS as f64).then_some(level as usize)
    }

    fn place(&self, context: Context) -> Option<usize> {
        match context {
            Context::None => None,
            // A float becomes the nearest whole number there is: below 0 that is 0.
            Context::Value(value) => Some((((value - self.low) * self.per_step) as usize).min(LEVELS - 1)),
            Context::Fixed(place) => Some(place),
        }
    }

    fn count(&mut self, level: usize, place: Option<usize>, weight: f32) {
        self.counts[level] += weight;
        self.total += weight;
        if let Some(place) = place {
            self.pairs[place][level] += weight;
            self.sums[place] += weight;
        }
    }

    /// Doubles the cells, upwards or downwards, until the value fits.
    fn widen(&mut self, value: f64, context: Context) {
        for _ in 0..DOUBLINGS {
            if self.level(value).is_some() {
                return;
            }
            let up = value >= self.low;
            if !up {
                self.low -= LEVELS as f64 * self.step;
            }
            self.set_step(self.step * 2.0);
            let shift = if up { 0 } else { LEVELS };
            self.rescale(context, |level| [(level + shift) / 2; 2]);
        }
    }

    /// Halves the cells when what was seen, but for a lone value at either end, fills only a few of them.
    fn narrow(&mut self, context: Context) {
        let passed = |levels: &mut dyn Iterator<Item = f32>| {
            let mut mass = 0.0;
            levels
                .take_while(|count| {
                    mass += count;
                    mass <= 1.0
                })
                .count()
        };
        let a = passed(&mut self.counts.iter().copied());
        let b = LEVELS - passed(&mut self.counts.iter().rev().copied()); // one past the last
        if b > a + 4 {
            return;
        }
        let from = usize::midpoint(a, b).saturating_sub(QUARTER).min(LEVELS / 2);
        self.low += from as f64 * self.step;
        self.set_step(self.step / 2.0);
        self.rescale(context, |level| {
            let cell = 2 * level.saturating_sub(from).min(LEVELS / 2 - 1);
            [cell, cell + 1]
        });
    }

    /// Moves the counts of each level in equal parts to the two that `to` gives, contexts likewise unless they are fixed.
    fn rescale(&mut self, context: Context, to: impl Fn(usize) -> [usize; 2]) {
        let counts = std::mem::take(&mut self.counts);
        let pairs = std::mem::take(&mut self.pairs);
        let sums = std::mem::take(&mut self.sums);
        let fixed = matches!(context, Context::Fixed(_));
        for place in 0..LEVELS {
            for level in to(place) {
                self.counts[level] += counts[place] / 2.0;
            }
            for new in if fixed { [place; 2] } else { to(place) } {
                self.sums[new] += sums[place] / 2.0;
                for (level, pair) in pairs[place].iter().enumerate().filter(|(_, pair)| **pair != 0.0) {
                    for level in to(level) {
                        self.pairs[new][level] += pair / 4.0;
                    }
                }
            }
        }
    }

    fn forget(&mut self) {
        self.total /= 2.0;
        self.counts.iter_mut().chain(&mut self.sums).for_each(|count| *count /= 2.0);
        self.pairs.as_flattened_mut().iter_mut().for_each(|count| *count /= 2.0);
    }
}
