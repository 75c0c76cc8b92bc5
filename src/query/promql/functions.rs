//! The functions of PromQL: names, arguments, results.

use super::ast::Type;

/// What a function takes and gives.
#[derive(Debug)]
pub struct Signature {
    /// The name.
    pub name: &'static str,
    /// Types of the arguments; the last one stands for all that follow.
    pub args: &'static [Type],
    /// 0: exactly these arguments. Else the last one may be missing, and there may be this many in its place;
    /// negative for any number.
    pub variadic: i32,
    /// Type of the result.
    pub result: Type,
}

macro_rules! functions {
    ($($variant:ident = $name:literal ($($arg:ident),*) $variadic:literal $result:ident;)*) => {
        /// A function.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum Function { $($variant),* }

        impl Function {
            /// Every function.
            pub const ALL: &'static [Function] = &[$(Function::$variant),*];

            /// What it takes and gives.
            #[must_use]
            pub fn signature(self) -> &'static Signature {
                match self {
                    $(Function::$variant => &const { Signature {
                        name: $name,
                        args: &[$(Type::$arg),*],
                        variadic: $variadic,
                        result: Type::$result,
                    } }),*
                }
            }

            /// The function of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Function::$variant),)* _ => None }
            }
        }
    };
}

functions! {
    Abs = "abs"(Vector) 0 Vector;
    Absent = "absent"(Vector) 0 Vector;
    AbsentOverTime = "absent_over_time"(Matrix) 0 Vector;
    Acos = "acos"(Vector) 0 Vector;
    Acosh = "acosh"(Vector) 0 Vector;
    Asin = "asin"(Vector) 0 Vector;
    Asinh = "asinh"(Vector) 0 Vector;
    Atan = "atan"(Vector) 0 Vector;
    Atanh = "atanh"(Vector) 0 Vector;
    AvgOverTime = "avg_over_time"(Matrix) 0 Vector;
    Ceil = "ceil"(Vector) 0 Vector;
    Changes = "changes"(Matrix) 0 Vector;
    Clamp = "clamp"(Vector, Scalar, Scalar) 0 Vector;
    ClampMax = "clamp_max"(Vector, Scalar) 0 Vector;
    ClampMin = "clamp_min"(Vector, Scalar) 0 Vector;
    Cos = "cos"(Vector) 0 Vector;
    Cosh = "cosh"(Vector) 0 Vector;
    CountOverTime = "count_over_time"(Matrix) 0 Vector;
    DayOfMonth = "day_of_month"(Vector) 1 Vector;
    DayOfWeek = "day_of_week"(Vector) 1 Vector;
    DayOfYear = "day_of_year"(Vector) 1 Vector;
    DaysInMonth = "days_in_month"(Vector) 1 Vector;
    Deg = "deg"(Vector) 0 Vector;
    Delta = "delta"(Matrix) 0 Vector;
    Deriv = "deriv"(Matrix) 0 Vector;
    DoubleExponentialSmoothing = "double_exponential_smoothing"(Matrix, Scalar, Scalar) 0 Vector;
    End = "end"() 0 Scalar;
    Exp = "exp"(Vector) 0 Vector;
    FirstOverTime = "first_over_time"(Matrix) 0 Vector;
    Floor = "floor"(Vector) 0 Vector;
    HistogramAvg = "histogram_avg"(Vector) 0 Vector;
    HistogramCount = "histogram_count"(Vector) 0 Vector;
    HistogramFraction = "histogram_fraction"(Scalar, Scalar, Vector) 0 Vector;
    HistogramQuantile = "histogram_quantile"(Scalar, Vector) 0 Vector;
    HistogramQuantiles = "histogram_quantiles"(Vector, String, Scalar, Scalar) 9 Vector;
    HistogramStddev = "histogram_stddev"(Vector) 0 Vector;
    HistogramStdvar = "histogram_stdvar"(Vector) 0 Vector;
    HistogramSum = "histogram_sum"(Vector) 0 Vector;
    Hour = "hour"(Vector) 1 Vector;
    Idelta = "idelta"(Matrix) 0 Vector;
    Increase = "increase"(Matrix) 0 Vector;
    Irate = "irate"(Matrix) 0 Vector;
    LabelJoin = "label_join"(Vector, String, String, String) -1 Vector;
    LabelReplace = "label_replace"(Vector, String, String, String, String) 0 Vector;
    LastOverTime = "last_over_time"(Matrix) 0 Vector;
    Ln = "ln"(Vector) 0 Vector;
    Log10 = "log10"(Vector) 0 Vector;
    Log2 = "log2"(Vector) 0 Vector;
    MadOverTime = "mad_over_time"(Matrix) 0 Vector;
    MaxOf = "max_of"(Scalar, Scalar) 0 Scalar;
    MaxOverTime = "max_over_time"(Matrix) 0 Vector;
    MinOf = "min_of"(Scalar, Scalar) 0 Scalar;
    MinOverTime = "min_over_time"(Matrix) 0 Vector;
    Minute = "minute"(Vector) 1 Vector;
    Month = "month"(Vector) 1 Vector;
    Pi = "pi"() 0 Scalar;
    PredictLinear = "predict_linear"(Matrix, Scalar) 0 Vector;
    PresentOverTime = "present_over_time"(Matrix) 0 Vector;
    QuantileOverTime = "quantile_over_time"(Scalar, Matrix) 0 Vector;
    Rad = "rad"(Vector) 0 Vector;
    Range = "range"() 0 Scalar;
    Rate = "rate"(Matrix) 0 Vector;
    Resets = "resets"(Matrix) 0 Vector;
    Round = "round"(Vector, Scalar) 1 Vector;
    Scalar = "scalar"(Vector) 0 Scalar;
    Sgn = "sgn"(Vector) 0 Vector;
    Sin = "sin"(Vector) 0 Vector;
    Sinh = "sinh"(Vector) 0 Vector;
    Sort = "sort"(Vector) 0 Vector;
    SortByLabel = "sort_by_label"(Vector, String) -1 Vector;
    SortByLabelDesc = "sort_by_label_desc"(Vector, String) -1 Vector;
    SortDesc = "sort_desc"(Vector) 0 Vector;
    Sqrt = "sqrt"(Vector) 0 Vector;
    Start = "start"() 0 Scalar;
    StddevOverTime = "stddev_over_time"(Matrix) 0 Vector;
    StdvarOverTime = "stdvar_over_time"(Matrix) 0 Vector;
    Step = "step"() 0 Scalar;
    SumOverTime = "sum_over_time"(Matrix) 0 Vector;
    Tan = "tan"(Vector) 0 Vector;
    Tanh = "tanh"(Vector) 0 Vector;
    Time = "time"() 0 Scalar;
    Timestamp = "timestamp"(Vector) 0 Vector;
    TsOfFirstOverTime = "ts_of_first_over_time"(Matrix) 0 Vector;
    TsOfLastOverTime = "ts_of_last_over_time"(Matrix) 0 Vector;
    TsOfMaxOverTime = "ts_of_max_over_time"(Matrix) 0 Vector;
    TsOfMinOverTime = "ts_of_min_over_time"(Matrix) 0 Vector;
    Vector = "vector"(Scalar) 0 Vector;
    Year = "year"(Vector) 1 Vector;
}

impl Function {
    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.signature().name
    }

    /// Type of the result.
    #[must_use]
    pub fn result(self) -> Type {
        self.signature().result
    }

    /// Does the result depend on the time of evaluation even where the arguments do not?
    #[must_use]
    pub fn looks_at_time(self) -> bool {
        use Function::{
            DayOfMonth, DayOfWeek, DayOfYear, DaysInMonth, Hour, Minute, Month, PredictLinear, Time,
            Timestamp, Year,
        };
        matches!(
            self,
            Time | Timestamp
                | PredictLinear
                | DayOfMonth
                | DayOfWeek
                | DayOfYear
                | DaysInMonth
                | Hour
                | Minute
                | Month
                | Year
        )
    }
}
