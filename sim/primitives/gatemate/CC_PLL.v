// GateMate's clock generator, for simulation in cycles of the clock that it makes: a cycle of the
// pin stands for one of them. The lock comes some cycles late, as on the device.

module CC_PLL #(
  parameter REF_CLK = "", parameter OUT_CLK = "", parameter PERF_MD = "", parameter LOCK_REQ = 1,
  parameter CLK270_DOUB = 0, parameter CLK180_DOUB = 0, parameter LOW_JITTER = 1,
  parameter CI_FILTER_CONST = 2, parameter CP_FILTER_CONST = 4
) (
  input CLK_REF, CLK_FEEDBACK, USR_CLK_REF, USR_LOCKED_STDY_RST,
  output USR_PLL_LOCKED_STDY, USR_PLL_LOCKED, CLK270, CLK180, CLK90, CLK0, CLK_REF_OUT
);
  LATE_LOCK lock (.CLK(CLK_REF), .LOCK(USR_PLL_LOCKED));
  assign CLK0 = CLK_REF;
  assign {CLK270, CLK180, CLK90, CLK_REF_OUT, USR_PLL_LOCKED_STDY} = 0;
endmodule
