// A multiplier block of iCE40 UltraPlus as nextpnr packs it: SB_MAC16 with a pin for each bit. The
// adders, whose parameters are all there, stand behind other outputs than the products. An input
// without a wire is 0, the enable of the clock 1.

module ICESTORM_DSP #(
  parameter NEG_TRIGGER = 0, parameter A_REG = 0, parameter B_REG = 0, parameter C_REG = 0,
  parameter D_REG = 0, parameter TOP_8x8_MULT_REG = 0, parameter BOT_8x8_MULT_REG = 0,
  parameter PIPELINE_16x16_MULT_REG1 = 0, parameter PIPELINE_16x16_MULT_REG2 = 0,
  parameter TOPOUTPUT_SELECT = 0, parameter BOTOUTPUT_SELECT = 0, parameter MODE_8x8 = 0,
  parameter A_SIGNED = 0, parameter B_SIGNED = 0, parameter TOPADDSUB_LOWERINPUT = 0,
  parameter TOPADDSUB_UPPERINPUT = 0, parameter TOPADDSUB_CARRYSELECT = 0,
  parameter BOTADDSUB_LOWERINPUT = 0, parameter BOTADDSUB_UPPERINPUT = 0,
  parameter BOTADDSUB_CARRYSELECT = 0
) (
  input CLK, input CE = 1'b1,
  input AHOLD, BHOLD, CHOLD, DHOLD, IRSTTOP, IRSTBOT, ORSTTOP, ORSTBOT, OLOADTOP, OLOADBOT,
  ADDSUBTOP, ADDSUBBOT, OHOLDTOP, OHOLDBOT, CI, ACCUMCI, SIGNEXTIN,
  input
    A_15, A_14, A_13, A_12, A_11, A_10, A_9, A_8, A_7, A_6, A_5, A_4, A_3, A_2, A_1, A_0,
  input
    B_15, B_14, B_13, B_12, B_11, B_10, B_9, B_8, B_7, B_6, B_5, B_4, B_3, B_2, B_1, B_0,
  input
    C_15, C_14, C_13, C_12, C_11, C_10, C_9, C_8, C_7, C_6, C_5, C_4, C_3, C_2, C_1, C_0,
  input
    D_15, D_14, D_13, D_12, D_11, D_10, D_9, D_8, D_7, D_6, D_5, D_4, D_3, D_2, D_1, D_0,
  output SIGNEXTOUT, ACCUMCO, CO,
  output
    O_31, O_30, O_29, O_28, O_27, O_26, O_25, O_24, O_23, O_22, O_21, O_20, O_19, O_18, O_17, O_16,
    O_15, O_14, O_13, O_12, O_11, O_10, O_9, O_8, O_7, O_6, O_5, O_4, O_3, O_2, O_1, O_0
);
  SB_MAC16 #(
    .NEG_TRIGGER(NEG_TRIGGER), .A_REG(A_REG), .B_REG(B_REG), .C_REG(C_REG), .D_REG(D_REG),
    .TOP_8x8_MULT_REG(TOP_8x8_MULT_REG), .BOT_8x8_MULT_REG(BOT_8x8_MULT_REG),
    .PIPELINE_16x16_MULT_REG1(PIPELINE_16x16_MULT_REG1),
    .PIPELINE_16x16_MULT_REG2(PIPELINE_16x16_MULT_REG2), .TOPOUTPUT_SELECT(TOPOUTPUT_SELECT),
    .BOTOUTPUT_SELECT(BOTOUTPUT_SELECT), .MODE_8x8(MODE_8x8), .A_SIGNED(A_SIGNED),
    .B_SIGNED(B_SIGNED)
  ) block (
    .CLK(CLK), .CE(CE),
    .AHOLD(AHOLD), .BHOLD(BHOLD), .CHOLD(CHOLD), .DHOLD(DHOLD), .IRSTTOP(IRSTTOP),
    .IRSTBOT(IRSTBOT), .ORSTTOP(ORSTTOP), .ORSTBOT(ORSTBOT), .OLOADTOP(OLOADTOP),
    .OLOADBOT(OLOADBOT), .ADDSUBTOP(ADDSUBTOP), .ADDSUBBOT(ADDSUBBOT), .OHOLDTOP(OHOLDTOP),
    .OHOLDBOT(OHOLDBOT), .CI(CI), .ACCUMCI(ACCUMCI), .SIGNEXTIN(SIGNEXTIN),
    .A({
      A_15, A_14, A_13, A_12, A_11, A_10, A_9, A_8, A_7, A_6, A_5, A_4, A_3, A_2, A_1, A_0}),
    .B({
      B_15, B_14, B_13, B_12, B_11, B_10, B_9, B_8, B_7, B_6, B_5, B_4, B_3, B_2, B_1, B_0}),
    .C({
      C_15, C_14, C_13, C_12, C_11, C_10, C_9, C_8, C_7, C_6, C_5, C_4, C_3, C_2, C_1, C_0}),
    .D({
      D_15, D_14, D_13, D_12, D_11, D_10, D_9, D_8, D_7, D_6, D_5, D_4, D_3, D_2, D_1, D_0}),
    .O({
      O_31, O_30, O_29, O_28, O_27, O_26, O_25, O_24, O_23, O_22, O_21, O_20, O_19, O_18, O_17,
      O_16, O_15, O_14, O_13, O_12, O_11, O_10, O_9, O_8, O_7, O_6, O_5, O_4, O_3, O_2, O_1, O_0})
  );

  // Noise, for nothing may use them: they belong to the adders.
  assign {SIGNEXTOUT, ACCUMCO, CO} = O_0 ? 3'b010 : 3'b101;
endmodule
