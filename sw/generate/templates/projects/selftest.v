// {{ name }} with a self-test of its own: after reset it writes a program with its input through the
// slave port, starts it, waits for irq and compares the output.
//
// writes.hex and checks.hex have a word of 32 bits of device memory a line: mask of its bytes,
// address, data. finished rises at the end; passed tells how it ended.

module {{ name }}_selftest (
    input wire clk,
    input wire rst,
    output wire finished,
    output reg passed
);

    localparam WRITES = {{ selftest_writes }};
    localparam CHECKS = {{ selftest_checks }};
    localparam [{{ index_bits - 1 }}:0] LAST_WRITE = {{ index_bits }}'d{{ selftest_writes - 1 }};
    localparam [{{ index_bits - 1 }}:0] LAST_CHECK = {{ index_bits }}'d{{ selftest_checks - 1 }};
    localparam [{{ index_bits - 1 }}:0] LAST_REGISTER = {{ index_bits }}'d{{ selftest_registers | length - 1 }};
    localparam [{{ window_bits - 1 }}:0] MEMORY = {{ window_bits }}'h{{ "%X" % memory_offset }};

    // Parts of the test, in their order
    localparam [2:0] FILL = 0, START = 1, RUN = 2, STATUS = 3, COMPARE = 4, END = 5;
    // States of one access
    localparam [1:0] FETCH = 0, ISSUE = 1, ANSWER = 2;

    reg [67:0] writes [0:WRITES-1];
    reg [67:0] checks [0:CHECKS-1];
    initial begin
        $readmemh("writes.hex", writes);
        $readmemh("checks.hex", checks);
    end

    reg [2:0] part;
    reg [1:0] state;
    reg [{{ index_bits - 1 }}:0] index;
    reg [67:0] written, check;

    always @(posedge clk) begin
        written <= writes[index[{{ write_bits - 1 }}:0]];
        check <= checks[index[{{ check_bits - 1 }}:0]];
    end

    // Device addresses fit the window.
    wire unused = &{written[63:{{ 32 + window_bits }}], check[63:{{ 32 + window_bits }}]};

    // What is written to registers before a run, by index
    reg [{{ window_bits - 1 }}:0] set_offset;
    reg [31:0] set_value;
    always @(*)
        case (index[1:0])
{% for offset, value, text in selftest_registers %}
            2'd{{ loop.index0 }}: begin set_offset = {{ window_bits }}'h{{ "%03X" % offset }}; set_value = {{ value }}; end   // {{ text }}
{% endfor %}
        endcase

    reg [{{ window_bits - 1 }}:0] address;
    reg [31:0] data;
    reg [3:0] strobes;
    reg awvalid, wvalid, arvalid;
    wire awready, wready, arready, bvalid, rvalid, irq;
    wire [1:0] bresp, rresp;
    wire [31:0] rdata;

    wire [31:0] bytes = { {8{check[67]}}, {8{check[66]}}, {8{check[65]}}, {8{check[64]}} };
    wire right = part == COMPARE ? (rdata & bytes) == check[31:0] : rdata == 32'd2;   // STATUS: done

    assign finished = part == END;

    always @(posedge clk)
        if (rst) begin
            part <= FILL;
            state <= FETCH;
            index <= 0;
            passed <= 0;
            awvalid <= 0;
            wvalid <= 0;
            arvalid <= 0;
        end
        else if (part == RUN) begin
            if (irq) part <= STATUS;
        end
        else if (part != END)
            case (state)
                FETCH: state <= ISSUE;
                ISSUE: begin
                    address <= part == FILL ? MEMORY + written[{{ 32 + window_bits - 1 }}:32]
                             : part == START ? set_offset
                             : part == STATUS ? {{ window_bits }}'h{{ "%03X" % status_offset }}
                             : MEMORY + check[{{ 32 + window_bits - 1 }}:32];
                    data <= part == FILL ? written[31:0] : set_value;
                    strobes <= part == FILL ? written[67:64] : 4'hF;
                    awvalid <= part == FILL || part == START;
                    wvalid <= part == FILL || part == START;
                    arvalid <= part == STATUS || part == COMPARE;
                    state <= ANSWER;
                end
                default: begin
                    if (awready) awvalid <= 0;
                    if (wready) wvalid <= 0;
                    if (arready) arvalid <= 0;
                    if (bvalid || rvalid) begin
                        state <= FETCH;
                        index <= index + 1'b1;
                        if (bvalid && bresp != 0 || rvalid && (rresp != 0 || !right)) part <= END;
                        else if (part == FILL && index == LAST_WRITE) begin
                            part <= START;
                            index <= 0;
                        end
                        else if (part == START && index == LAST_REGISTER) part <= RUN;
                        else if (part == STATUS) begin
                            part <= COMPARE;
                            index <= 0;
                        end
                        else if (part == COMPARE && index == LAST_CHECK) begin
                            part <= END;
                            passed <= 1;
                        end
                    end
                end
            endcase

    {{ name }} accelerator (
        .clk(clk), .rst(rst), .irq(irq),
        .s_axi_awaddr(address), .s_axi_awprot(3'd0), .s_axi_awvalid(awvalid), .s_axi_awready(awready),
        .s_axi_wdata(data), .s_axi_wstrb(strobes), .s_axi_wvalid(wvalid), .s_axi_wready(wready),
        .s_axi_bresp(bresp), .s_axi_bvalid(bvalid), .s_axi_bready(1'b1),
        .s_axi_araddr(address), .s_axi_arprot(3'd0), .s_axi_arvalid(arvalid), .s_axi_arready(arready),
        .s_axi_rdata(rdata), .s_axi_rresp(rresp), .s_axi_rvalid(rvalid), .s_axi_rready(1'b1)
    );

endmodule
