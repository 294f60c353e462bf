    // What the runs write to device memory, and what is expected in it behind each.
    reg [67:0] writes [0:WRITES-1];
    reg [67:0] checks [0:CHECKS-1];
    reg [95:0] runs [0:RUNS-1];
    integer errors, first_write, first_check;

    function void fail(input string text);
        $display("FAIL: %s", text);
        $fatal(1);
    endfunction

    task load_runs;
        begin
            $readmemh("writes.hex", writes);
            $readmemh("checks.hex", checks);
            $readmemh("runs.hex", runs);
            errors = 0;
            first_write = 0;
            first_check = 0;
        end
    endtask

    task write_words(input [31:0] count);
        integer number;
        begin
            for (number = 0; number < count; number = number + 1)
                write_word(writes[first_write + number][63:32], writes[first_write + number][67:64],
                           writes[first_write + number][31:0]);
            first_write = first_write + count;
        end
    endtask

    task check_words(input integer run, input [31:0] count);
        integer number;
        begin
            for (number = 0; number < count; number = number + 1)
                check_word(run, checks[first_check + number][63:32],
                           checks[first_check + number][67:64],
                           checks[first_check + number][31:0]);
            first_check = first_check + count;
        end
    endtask

    task check_word(input integer run, input [31:0] address, input [3:0] mask, input [31:0] data);
        reg [31:0] found, bytes;
        begin
            bytes = { {8{mask[3]}}, {8{mask[2]}}, {8{mask[1]}}, {8{mask[0]}} };
            read_word(address, found);
            if ((found & bytes) != data) begin
                if (errors == 0)
                    $display("run %0d: device address %08x has %08x, expected is %08x",
                             run, address, found & bytes, data);
                errors = errors + 1;
            end
        end
    endtask
